"""Print answers: JSON, a table on a terminal, tab-separated values in a pipe.

Names and ids are printed literally, never as markup or terminal control codes.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print JSON lines.")]


def make_console(*, stderr: bool = False) -> "Console":
    """Return a console that prints texts literally."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def plain(text: str) -> "Text":
    """Return a text whose brackets are not markup, with control characters escaped."""
    from rich.text import Text

    from app.domain.texts import escaped

    return Text(escaped(text))


def add_row(table: "Table", *cells: str) -> None:
    """Add a row of plain texts."""
    table.add_row(*map(plain, cells))


def print_json(document: Any) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(document, indent=2))


def print_queued(job: dict[str, Any], *, as_json: bool) -> None:
    """Print a job that was just queued: as JSON, or its id."""
    if as_json:
        print_json(job)
    else:
        typer.echo(job["id"])


def print_json_lines(documents: Iterable[Any]) -> None:
    """Print one JSON document a line."""
    for document in documents:
        typer.echo(json.dumps(document))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows on standard output: aligned on a terminal, otherwise tab-separated under a header line."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            typer.echo("\t".join(map(_literal, row)))
        return
    from rich.table import Table

    table = Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        add_row(table, *row)
    make_console().print(table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print names and values on standard output: aligned on a terminal, otherwise separated by a tab."""
    pairs = list(fields)
    width = max((len(name) for name, _ in pairs), default=0) if sys.stdout.isatty() else 0
    for name, value in pairs:
        typer.echo(f"{name:<{width}}  {_literal(value)}" if width else f"{name}\t{_literal(value)}")


def note(sentence: str) -> None:
    """Print a sentence about the answer on standard error, where it does not mix with the answer."""
    typer.echo(_literal(sentence), err=True)


def progress_note(sentence: str) -> None:
    """Print a sentence as ``note`` does, with the name of the command in front."""
    note(f"lookalike: {sentence}")


def _literal(text: str) -> str:
    """Return a text with control characters escaped: tabs and line ends would break the line it is part of."""
    from app.domain.texts import escaped

    return escaped(text)


def shown_time(moment: str | None) -> str:
    """Return a moment of an answer to the minute; empty for None."""
    return "" if moment is None else moment[:16].replace("T", " ")


def shown_bytes(count: float) -> str:
    """Return a number of bytes in the unit that reads best."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
