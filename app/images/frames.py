"""Select candidate frames of an animation."""

from collections.abc import Iterator
from typing import Final

from PIL import Image

_MAX_FRAMES: Final = 12
_PIXEL_BUDGET: Final = 40_000_000
"""Maximum number of pixels decoded to reach the candidates, over all frames."""


def later_frames(opened: Image.Image) -> Iterator[Image.Image]:
    """Yield frames after the first, evenly spaced within the pixel budget.

    A frame may depend on the previous one, so that reaching the last one means decoding all.

    Yields:
        The same object at a later frame; stops before a damaged frame.
    """
    width, height = opened.size
    count = min(getattr(opened, "n_frames", 1), _PIXEL_BUDGET // max(1, width * height))
    if count <= 1:
        return
    candidates = min(_MAX_FRAMES, count - 1)
    for i in range(1, candidates + 1):
        try:
            opened.seek(round(i * (count - 1) / candidates))
            opened.load()
        except (OSError, EOFError, ValueError, SyntaxError):
            return
        yield opened
