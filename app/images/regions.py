"""Parts of a query picture to search with: its content without even borders, and windows."""

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.variants import WHOLE, Region

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]

TOLERANCE: Final = 14
"""Largest difference between the pixels of an even row or column in any channel; JPEG noise stays below it."""
SAMPLES: Final = 16
"""Number of pixels of a line that are compared first."""
LEAST_GAP: Final = 0.01
"""Thinnest even band that separates two parts, as a share of the extent; thinner ones occur inside pictures."""
LEAST_SHARE: Final = 0.1
"""Smallest extent of the content, as a share of the picture's."""
LEAST_SIDE: Final = 16
"""Smallest side of a region in pixels; smaller ones show nothing."""


WINDOWS: Final = (
    # Quarters, for collages.
    Region(0.0, 0.0, 0.5, 0.5),
    Region(0.0, 0.5, 0.5, 0.5),
    Region(0.5, 0.0, 0.5, 0.5),
    Region(0.5, 0.5, 0.5, 0.5),
    # The middle, for photographs of screens and prints.
    Region(0.15, 0.15, 0.7, 0.7),
    Region(0.25, 0.25, 0.5, 0.5),
    Region(0.05, 0.15, 0.6, 0.7),
    # Bands, for pages and screenshots with text above or beside a picture.
    Region(0.0, 0.0, 1.0, 0.6),
    Region(0.0, 0.2, 1.0, 0.6),
    Region(0.0, 0.4, 1.0, 0.6),
    Region(0.0, 0.1, 1.0, 0.5),
    Region(0.0, 0.0, 0.6, 1.0),
    Region(0.4, 0.0, 0.6, 1.0),
)

MAX_REGIONS: Final = 2 + len(WINDOWS)


def regions_of(pixels: Pixels) -> tuple[Region, ...]:
    """Return the regions to search with: the whole picture first, then its content, then windows.

    Args:
        pixels: The upright picture, shape (H, W, 3), uint8.
    """
    height, width = pixels.shape[:2]
    windows = [w for w in WINDOWS if w.width * width >= LEAST_SIDE and w.height * height >= LEAST_SIDE]
    content = content_of(pixels)
    return (WHOLE, *([content] if content != WHOLE else []), *windows)


def content_of(pixels: Pixels) -> Region:
    """Return the largest part that even bands do not divide; the whole picture if that is too small.

    A screenshot consists of a picture, even borders, and strips of text or icons between even bands. Cutting at
    the bands, by rows and by columns in turn, leaves the picture.

    Args:
        pixels: The upright picture, shape (H, W, 3), uint8.
    """
    height, width = pixels.shape[:2]
    top, bottom, left, right = 0, height, 0, width
    extents = None
    while extents != (bottom - top, right - left):
        extents = (bottom - top, right - left)
        first, last = _longest_run(_is_uneven(pixels[top:bottom, left:right], axis=1))
        top, bottom = top + first, top + last
        if bottom - top < max(LEAST_SIDE, LEAST_SHARE * height):
            return WHOLE
        first, last = _longest_run(_is_uneven(pixels[top:bottom, left:right], axis=0))
        left, right = left + first, left + last
        if right - left < max(LEAST_SIDE, LEAST_SHARE * width):
            return WHOLE
    return Region(left / width, top / height, (right - left) / width, (bottom - top) / height)


def cut(pixels: Pixels, region: Region) -> Pixels:
    """Return the pixels of a region, shape (h, w, 3), C-contiguous."""
    height, width = pixels.shape[:2]
    top, left = round(region.y * height), round(region.x * width)
    bottom, right = round((region.y + region.height) * height), round((region.x + region.width) * width)
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def _is_uneven(pixels: Pixels, axis: int) -> Bools:
    """Return for each row (``axis`` 1) or column (``axis`` 0) whether its pixels differ.

    Most lines already differ in a few of their pixels; only the others are read whole.
    """
    lines = pixels if axis == 1 else pixels.swapaxes(0, 1)
    is_uneven = _differs(lines[:, :: max(1, lines.shape[1] // SAMPLES)])
    rest = np.flatnonzero(~is_uneven)
    is_uneven[rest] = _differs(lines[rest])
    return is_uneven


def _differs(lines: Pixels) -> Bools:
    """Return for each line, shape (n, m, 3), whether its pixels differ by more than ``TOLERANCE``."""
    # NumPy reduces the first of two axes by whole vectors, but the middle of three by three bytes at a time.
    flat = np.ascontiguousarray(lines.swapaxes(0, 1)).reshape(lines.shape[1], -1)  # (m, 3 · n)
    spread = flat.max(axis=0) - flat.min(axis=0)
    return np.asarray(spread.reshape(-1, 3).max(axis=1) > TOLERANCE)


def _longest_run(is_uneven: Bools) -> tuple[int, int]:
    """Return the bounds of the longest run of uneven lines, which thin even bands do not end."""
    lines = np.flatnonzero(is_uneven)
    if not len(lines):
        return 0, 0
    gap = max(LEAST_GAP * len(is_uneven), 1)
    ends = np.flatnonzero(np.diff(lines) - 1 > gap) + 1
    bounds = [0, *ends.tolist(), len(lines)]
    runs = [(int(lines[a]), int(lines[b - 1]) + 1) for a, b in pairwise(bounds)]
    return max(runs, key=lambda run: run[1] - run[0])
