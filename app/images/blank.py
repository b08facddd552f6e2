"""Detect blank pictures, whose codes do not identify copies."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_CELLS: Final = 32
"""Side of the grid to which a picture is reduced; averages out scanner noise."""
_LEVELS: Final = 12
"""Minimum difference between content and background, in levels of 255."""
_SHARE: Final = 0.01
"""Minimum share of cells with content; less is dust, or a mark too small to affect a code."""


def contrast_of(pixels: NDArray[np.uint8]) -> float:
    """Return the contrast of a picture: the standard deviation of its grid cells, in levels of 255.

    Args:
        pixels: Shape (H, W, 3), uint8.
    """
    cells = _cells_of(pixels)
    return float(cells.std(axis=(0, 1)).mean())


def is_blank(pixels: NDArray[np.uint8]) -> bool:
    """Return whether a picture is nearly uniform.

    Args:
        pixels: Shape (H, W, 3), uint8.
    """
    cells = _cells_of(pixels)
    background = np.median(cells, axis=(0, 1))
    is_content = (np.abs(cells - background) > _LEVELS).any(axis=2)
    return bool(is_content.mean() < _SHARE)


def _cells_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean colours of the picture's grid cells, shape (at most 32, at most 32, 3)."""
    height, width = pixels.shape[:2]
    size = (min(_CELLS, width), min(_CELLS, height))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), np.float32)
