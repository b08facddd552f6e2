"""Whether a picture shows anything: a code of a blank one says nothing of what it is a copy of."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_CELLS: Final = 32
"""Side of the grid on which a picture is looked at: noise of a scanner is averaged away."""
_LEVELS: Final = 12
"""Of 255: what differs less from the ground is no content."""
_SHARE: Final = 0.01
"""Of the grid's cells: less is dust, or a mark too small for a code to tell."""


def contrast_of(pixels: NDArray[np.uint8]) -> float:
    """How much a picture shows: the mean deviation of its cells, in levels of 255.

    Args:
        pixels: Shape (H, W, 3), uint8.
    """
    cells = _cells_of(pixels)
    return float(cells.std(axis=(0, 1)).mean())


def is_blank(pixels: NDArray[np.uint8]) -> bool:
    """Whether a picture is all but uniform.

    Args:
        pixels: Shape (H, W, 3), uint8.
    """
    cells = _cells_of(pixels)
    ground = np.median(cells, axis=(0, 1))
    differs = (np.abs(cells - ground) > _LEVELS).any(axis=2)
    return bool(differs.mean() < _SHARE)


def _cells_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The picture's mean colours, shape (at most 32, at most 32, 3)."""
    height, width = pixels.shape[:2]
    size = (min(_CELLS, width), min(_CELLS, height))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), np.float32)
