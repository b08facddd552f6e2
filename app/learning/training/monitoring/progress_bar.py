"""Progress of long work: a bar on a terminal, a log line now and then elsewhere."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

LOG_INTERVAL_S: Final = 10.0

log = logging.getLogger(__name__)


def with_progress(items: Iterable[T], total: int, task: str, *, unit: str = "", size: int = 1) -> Iterator[T]:
    """Yield the items and show how many of them are done.

    Args:
        items: What to iterate over.
        total: Number of units in all items.
        task: What is being done, for instance ``encoding flowers``.
        unit: What is counted, for instance ``pictures``.
        size: Units in each item; the last item may have fewer.
    """
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
