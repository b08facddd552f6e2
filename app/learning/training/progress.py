"""Progress bars of long work, on a terminal only: in a log they would be noise."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def shown(items: Iterable[T], total: int, words: str) -> Iterable[T]:
    """The items as they come, with a bar on standard error that goes when they end."""
    console = Console(stderr=True)
    return track(items, words, total, console=console, transient=True, disable=not console.is_terminal)
