"""Which frame stands for an animation."""

from collections.abc import Iterator
from typing import Final

from PIL import Image

_MOST_TRIED: Final = 12
_PIXEL_BUDGET: Final = 40_000_000
"""Pixels of all frames that are decoded on the way to those that are tried."""


def later_frames(opened: Image.Image) -> Iterator[Image.Image]:
    """Frames behind the first, spread evenly over what the budget of pixels reaches.

    A frame may be the change to the one before, so that reaching the last costs all of them.

    Yields:
        The same picture, moved on; frames behind a damaged one are left out.
    """
    width, height = opened.size
    count = min(getattr(opened, "n_frames", 1), _PIXEL_BUDGET // max(1, width * height))
    if count <= 1:
        return
    tried = min(_MOST_TRIED, count - 1)
    for i in range(1, tried + 1):
        try:
            opened.seek(round(i * (count - 1) / tried))
            opened.load()
        except (OSError, EOFError, ValueError, SyntaxError):
            return
        yield opened
