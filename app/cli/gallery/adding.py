"""Send pictures in batches; report progress, totals and failures; stop at Ctrl-C."""

import asyncio
import itertools
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, Self

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.gallery.pictures import FileRefused, FileSkipped, ReadFile
from app.cli.terminal.exit_codes import ExitCode
from app.cli.terminal.output import make_console, note, print_json, print_table, progress_note
from app.domain.errors import NotAnImage
from app.domain.texts import escaped
from lookalike_client import AsyncClient, NewPicture, OnDuplicate, OnNearDuplicate, ServiceError

BATCH: Final = 32
BATCH_BYTES: Final = 64_000_000
FAILURES_SHOWN: Final = 50
PLAIN_PROGRESS_S: Final = 5.0
"""Interval of the progress lines where standard error is not a terminal."""
_WORDS: Final = {
    "created": "added",
    "replaced": "replaced",
    "unchanged": "already there",
    "conflict": "in conflict",
    "near_duplicate": "copies left out",
    "failed": "failed",
    "skipped": "skipped",
}
"""Outcomes in the order and in the words of the totals."""
_REFUSED_FILES: Final = frozenset({400, 409, 413, 415, 422})
"""Statuses that concern the pictures of a request, and not the service."""


@dataclass(frozen=True, slots=True)
class _AddPolicy:
    """Where to add pictures, and how to treat those that are stored already."""

    collection: str
    on_duplicate: OnDuplicate
    on_near_duplicate: OnNearDuplicate | None


@dataclass(slots=True)
class Report:
    """The outcomes of the pictures; file names that are not valid text are shown escaped."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, str]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    """Files in folders and archives that are not pictures."""
    near_duplicates: list[dict[str, Any]] = field(default_factory=list)
    """Files that are copies of stored pictures, each with one of these pictures."""
    is_interrupted: bool = False
    took_s: float = 0.0

    def refuse(self, file: str, code: str, detail: str, status: str = "failed") -> None:
        """Record a file that was not added, and why."""
        self.counts[status] += 1
        self.failures.append({"file": escaped(file), "status": status, "code": code, "detail": detail})

    def skip(self, file: str, code: str, detail: str) -> None:
        """Record a file that is not a picture."""
        self.counts["skipped"] += 1
        self.skipped.append({"file": escaped(file), "code": code, "detail": detail})

    @property
    def added(self) -> int:
        """Pictures that this run has added or replaced."""
        return self.counts["created"] + self.counts["replaced"]

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        if self.is_interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.ITEMS_FAILED if self.failures else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "counts": dict(self.counts),
            "failures": self.failures,
            "skipped": self.skipped,
            "near_duplicates": self.near_duplicates,
            "interrupted": self.is_interrupted,
            "took_s": round(self.took_s, 3),
        }


async def add_all(
    client: AsyncClient,
    files: Iterable[ReadFile],
    *,
    total: int | None,
    collection: str,
    on_duplicate: OnDuplicate,
    report: Report,
    on_near_duplicate: OnNearDuplicate | None = None,
) -> None:
    """Add every file, two batches at a time, so that reading and encoding overlap.

    The first Ctrl-C stops after the batches in flight, the second at once.

    Args:
        client: The service.
        files: Each reads one picture when called.
        total: Number of files, for the progress bar.
        collection: The collection to add to.
        on_duplicate: ``skip``, ``replace`` or ``error``.
        report: Where outcomes are recorded, also those before an error.
        on_near_duplicate: ``report``, ``skip`` or ``error``; None to skip the search for copies.

    Raises:
        ServiceError: The service failed as a whole.
        asyncio.CancelledError: Ctrl-C came twice.
    """
    start = time.monotonic()
    batches = _batches(files)
    policy = _AddPolicy(collection, on_duplicate, on_near_duplicate)
    with _stopping_at_ctrl_c() as stop, _Shown(total) as shown:

        async def send() -> None:
            # Both senders share one iterator.
            while not stop.is_set():
                batch = next(batches, None)
                if batch is None:
                    return
                await _send(client, batch, policy, report)
                shown.advance(len(batch), report)

        try:
            async with asyncio.TaskGroup() as senders:
                senders.create_task(send())
                senders.create_task(send())
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            report.took_s = time.monotonic() - start
            report.is_interrupted = stop.is_set()


@contextmanager
def _stopping_at_ctrl_c() -> Iterator[asyncio.Event]:
    """Yield an event that the first Ctrl-C sets; the second cancels the running task."""
    stop, loop, task = asyncio.Event(), asyncio.get_running_loop(), asyncio.current_task()

    def interrupt() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        elif not stop.is_set():
            progress_note("stopping after the pictures in flight; press Ctrl-C again to stop at once")
            stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield stop
    finally:
        loop.remove_signal_handler(signal.SIGINT)


class _Shown:
    """Shows progress: a bar on a terminal, otherwise a line every few seconds."""

    def __init__(self, total: int | None) -> None:
        columns = (
            TextColumn("adding", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=make_console(stderr=True), transient=True)
        self._task = self._bar.add_task("adding", total=total, rate="")
        self._total = total
        self._done = 0
        self._start = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Stopping prints a line end, even if the bar was never shown.
        if sys.stderr.isatty():
            self._bar.stop()

    def advance(self, count: int, report: Report) -> None:
        self._done += count
        now = time.monotonic()
        rate = self._done / max(now - self._start, 1e-9)
        self._bar.update(self._task, advance=count, rate=f"{rate:,.0f}/s, {len(report.failures):,} failed")
        if not sys.stderr.isatty() and now - self._last_line >= PLAIN_PROGRESS_S:
            self._last_line = now
            of = "" if self._total is None else f" of {self._total:,}"
            progress_note(f"{self._done:,}{of} files, {rate:,.0f}/s, {len(report.failures):,} failed")


def _batches(files: Iterable[ReadFile]) -> Iterator[list[ReadFile]]:
    iterator = iter(files)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch


async def _send(client: AsyncClient, batch: list[ReadFile], policy: _AddPolicy, report: Report) -> None:
    files: list[NewPicture] = []
    for read in batch:
        try:
            files.append(await asyncio.to_thread(read))
        except FileSkipped as skipped:
            report.skip(skipped.name, skipped.code, skipped.detail)
        except FileRefused as refused:
            report.refuse(refused.name, refused.code, refused.detail)
        if sum(map(_size, files)) >= BATCH_BYTES:
            await _add(client, files, policy, report)
            files = []
    if files:
        await _add(client, files, policy, report)


def _size(file: NewPicture) -> int:
    return len(file.content) if isinstance(file.content, bytes) else 0


async def _add(client: AsyncClient, files: list[NewPicture], policy: _AddPolicy, report: Report) -> None:
    try:
        answer = await client.add_pictures(
            files,
            collection=policy.collection,
            on_duplicate=policy.on_duplicate,
            on_near_duplicate=policy.on_near_duplicate,
        )
    except ServiceError as error:
        if error.status not in _REFUSED_FILES:
            raise
        if len(files) == 1:
            report.refuse(_name(files[0]), error.code, error.detail)
            return
        # Send the files of a refused batch one at a time, so that each gets its own reason.
        for file in files:
            await _add(client, [file], policy, report)
        return
    for file, item in zip(files, answer.items, strict=True):
        for near in item.near_duplicates or ():
            report.near_duplicates.append(
                {
                    "file": _name(file),
                    "id": item.id,
                    "copy_of": near.id,
                    "exact": near.exact,
                    "hash_distance": near.hash_distance,
                    "descriptor_distance": near.descriptor_distance,
                }
            )
        if item.error is None or item.status == "near_duplicate":
            report.counts[item.status] += 1
        else:
            report.refuse(_name(file), item.error.code, item.error.detail, item.status)


def _name(file: NewPicture) -> str:
    return file.uri or file.name or ""


def print_report(report: Report) -> None:
    """Print a table of failures on standard output, and the totals on standard error."""
    if report.failures:
        shown = report.failures[:FAILURES_SHOWN]
        print_table(("file", "code", "why"), [(f["file"], f["code"], f["detail"]) for f in shown])
        if len(report.failures) > FAILURES_SHOWN:
            note(f"… and {len(report.failures) - FAILURES_SHOWN:,} more; --json lists all")
    if report.near_duplicates:
        shown_near = report.near_duplicates[:FAILURES_SHOWN]
        print_table(("file", "copy of", "why"), [(n["file"], n["copy_of"], _why_near(n)) for n in shown_near])
        if len(report.near_duplicates) > FAILURES_SHOWN:
            note(f"… and {len(report.near_duplicates) - FAILURES_SHOWN:,} more copies; --json lists all")
    if report.skipped:
        kinds = Counter(map(_kind, report.skipped))
        reasons = ", ".join(f"{count:,} × {kind}" for kind, count in kinds.most_common(5))
        note(f"skipped files that are not pictures: {reasons}")
    note(totals(report))


def _why_near(near: dict[str, Any]) -> str:
    """Return the evidence that a picture is a copy."""
    if near["exact"]:
        return "same file"
    descriptors = near["descriptor_distance"]
    by_descriptors = "" if descriptors is None else f", descriptors {descriptors:.2f}"
    return f"hashes {near['hash_distance']} of 256 bits{by_descriptors}"


def _kind(skipped: dict[str, str]) -> str:
    """Return a phrase for a skipped file, such as ``a PDF document``."""
    if skipped["code"] == NotAnImage.code:
        return "another file"
    return skipped["detail"].removeprefix("the file is ").partition(", which")[0]


def totals(report: Report) -> str:
    """Return the totals as one sentence; after Ctrl-C it says how to continue."""
    if report.is_interrupted:
        return f"{report.added:,} added; run again to continue"
    counts = [f"{report.counts[status]:,} {word}" for status, word in _WORDS.items() if report.counts[status]]
    if report.added:
        counts[-1] += f" in {report.took_s:,.1f} s ({report.added / report.took_s:,.0f} a second)"
    return ", ".join(counts) or "nothing to add"


def finish(work: Callable[[], Coroutine[Any, Any, None]], report: Report, *, as_json: bool) -> NoReturn:
    """Run ``work``, which fills the report; print the report and exit.

    Raises:
        ServiceError: The service failed as a whole; the totals so far are printed.
    """
    try:
        asyncio.run(work())
    except (KeyboardInterrupt, asyncio.CancelledError):
        report.is_interrupted = True
    except ServiceError:
        if report.counts:
            note(f"{report.added:,} added so far; run again to continue")
        raise
    if as_json:
        print_json(report.as_json())
        if report.is_interrupted:
            note(totals(report))
    else:
        print_report(report)
    raise typer.Exit(report.exit_code)
