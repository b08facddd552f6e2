"""What commands print: names and ids as they are, never read as markup or as codes for a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.domain.texts import escaped


def make_console(*, stderr: bool = False) -> Console:
    """A console that prints texts as they are."""
    return Console(stderr=stderr, markup=False, emoji=False)


def plain(text: str) -> Text:
    """A text in which brackets are no markup; control characters, which a terminal would obey, are escaped."""
    return Text(escaped(text))


def add_row(table: Table, *cells: str) -> None:
    """Add a row of plain texts."""
    table.add_row(*map(plain, cells))
