"""Send pictures in batches, with a progress bar and a table of failures."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.cli.output import add_row, plain
from app.cli.pictures import UnreadableEntry
from app.client import AsyncClient, FileToAdd, ServiceError
from app.domain.texts import escaped

BATCH: Final = 32
FAILURES_SHOWN: Final = 50

ReadFile = Callable[[], FileToAdd]


@dataclass(slots=True)
class Report:
    """The outcomes of the pictures; file names that are not valid text are shown escaped."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, file: str, code: str, detail: str, status: str = "failed") -> None:
        """Record a file that was not added, and why."""
        self.counts[status] += 1
        self.failures.append({"file": escaped(file), "code": code, "detail": detail})

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"counts": dict(self.counts), "failures": self.failures}


async def add_all(
    client: AsyncClient,
    files: Iterable[ReadFile],
    *,
    total: int | None,
    collection: str,
    on_duplicate: str,
    console: Console,
) -> Report:
    """Add every file, two batches at a time, so that reading and encoding overlap.

    Args:
        client: The service.
        files: Each reads one picture when called.
        total: Number of files, for the progress bar.
        collection: The collection to add to.
        on_duplicate: ``skip``, ``replace`` or ``error``.
        console: Where the progress bar goes.

    Raises:
        ServiceError: The service failed as a whole.
    """
    report = Report()
    batches = _batches(files)
    columns = (TextColumn("adding", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("adding", total=total)

        async def send() -> None:
            # Both senders share one iterator.
            for batch in batches:
                await _send(client, batch, collection, on_duplicate, report)
                progress.advance(task, len(batch))

        await asyncio.gather(send(), send())
    return report


def _batches(files: Iterable[ReadFile]) -> Iterator[list[ReadFile]]:
    iterator = iter(files)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch


async def _send(
    client: AsyncClient, batch: list[ReadFile], collection: str, on_duplicate: str, report: Report
) -> None:
    files = []
    for read in batch:
        try:
            files.append(read())
        except UnreadableEntry as error:
            report.refuse(error.name, error.cause.code, error.cause.detail)
        except OSError as error:
            report.refuse(str(error.filename), "unreadable", error.strerror or "cannot be read")
    if files:
        await _add(client, files, collection, on_duplicate, report)


async def _add(
    client: AsyncClient, files: list[FileToAdd], collection: str, on_duplicate: str, report: Report
) -> None:
    try:
        answer = await client.add(files, collection=collection, on_duplicate=on_duplicate)
    except ServiceError as error:
        if error.status not in {409, 413, 415, 422}:
            raise
        if len(files) == 1:
            report.refuse(files[0].uri or files[0].name, error.code, error.detail)
            return
        # Send the files of a refused batch one at a time, so that each gets its own reason.
        for file in files:
            await _add(client, [file], collection, on_duplicate, report)
        return
    for file, item in zip(files, answer["items"], strict=True):
        if item["error"] is None:
            report.counts[item["status"]] += 1
        else:
            error_code, detail = item["error"]["code"], item["error"]["detail"]
            report.refuse(file.uri or file.name, error_code, detail, item["status"])


def print_report(report: Report, console: Console) -> None:
    """Print counts and a table of failures."""
    counts = ", ".join(f"{count:,} {status}" for status, count in sorted(report.counts.items()))
    console.print(counts or "nothing to add")
    if not report.failures:
        return
    table = Table("file", "code", "why", title=plain(f"{len(report.failures):,} not added"))
    for failure in report.failures[:FAILURES_SHOWN]:
        add_row(table, failure["file"], failure["code"], failure["detail"])
    console.print(table)
    if len(report.failures) > FAILURES_SHOWN:
        console.print(f"… and {len(report.failures) - FAILURES_SHOWN:,} more; --json lists all")
