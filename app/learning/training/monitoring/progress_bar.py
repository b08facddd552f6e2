"""Progress of long work: a bar on a terminal, calls of a listener in a job, log lines elsewhere."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

LOG_INTERVAL_S: Final = 10.0

Listener = Callable[[str, int, int, str], None]
"""Called with the task, the number of units done, their total and their name; may raise to end the work."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)

log = logging.getLogger(__name__)


@contextmanager
def reporting_to(listener: Listener) -> Iterator[None]:
    """Call ``listener`` after each step of the work in this context, instead of showing a bar or logging."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def with_progress(items: Iterable[T], total: int, task: str, *, unit: str = "", size: int = 1) -> Iterator[T]:
    """Yield the items and show how many of them are done.

    Args:
        items: What to iterate over.
        total: Number of units in all items.
        task: What is being done, for instance ``encoding flowers``.
        unit: What is counted, for instance ``pictures``.
        size: Units in each item; the last item may have fewer.
    """
    listener = _listener.get()
    if listener is not None:
        for done, item in enumerate(items, 1):
            yield item
            listener(task, min(done * size, total), total, unit)
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from _with_log_lines(items, total, task, unit, size)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(task, total=total)
        for done, item in enumerate(items, 1):
            yield item
            progress.update(bar, completed=min(done * size, total))


def _with_log_lines(items: Iterable[T], total: int, task: str, unit: str, size: int) -> Iterator[T]:
    logged_at = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - logged_at >= LOG_INTERVAL_S:
            logged_at = time.monotonic()
            log.info("%s: %s", task, f"{min(done * size, total):,} of {total:,} {unit}".rstrip())
