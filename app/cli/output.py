"""Print names and ids literally, never as markup or terminal control codes."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.domain.texts import escaped


def make_console(*, stderr: bool = False) -> Console:
    """Return a console that prints texts literally."""
    return Console(stderr=stderr, markup=False, emoji=False)


def plain(text: str) -> Text:
    """Return a text whose brackets are not markup, with control characters escaped."""
    return Text(escaped(text))


def add_row(table: Table, *cells: str) -> None:
    """Add a row of plain texts."""
    table.add_row(*map(plain, cells))
