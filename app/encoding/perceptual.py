"""PDQ, a perceptual hash: 256 bits that survive re-encoding, scaling and recolouring of a picture.

Written from the description of the algorithm in "The TMK+PDQF Video-Hashing Algorithm and the PDQ
Image-Hashing Algorithm" (Meta, 2019); a test compares it with the reference implementation's hashes. Everything
before the median is linear, so smoothing, reduction and transform are two matrix products, and a turned picture
needs only its rows and columns of coefficients reversed or exchanged.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.domain.codes import codes_to_bytes, pack_signs
from app.domain.perceptual import HASH_BITS

MIN_QUALITY: Final = 50
"""Smallest quality of a picture whose hash says something; the authors of PDQ recommend it."""
_CELLS: Final = 64
"""Side of the reduced picture."""
_FREQUENCIES: Final = 16
"""Number of frequencies in each direction, from the first above the mean."""
_CACHED_SIDES: Final = 64
"""Sides of pictures whose matrices are kept, each of at most 128 kB."""


@dataclass(frozen=True, slots=True)
class PerceptualHash:
    """The hash of a picture in its eight orientations."""

    codes: NDArray[np.uint64]
    """Shape (8, 4), uint64: row o - 1 is the hash of the picture turned as for EXIF orientation o."""

    @property
    def code(self) -> NDArray[np.uint64]:
        """The hash of the picture as it is, shape (4,), uint64."""
        code: NDArray[np.uint64] = self.codes[0]
        return code

    @property
    def code_bytes(self) -> bytes:
        """The hash of the picture as it is, in the database's format."""
        return codes_to_bytes(self.codes[:1], HASH_BITS)[0]


def perceptual_hash(pixels: NDArray[np.uint8]) -> PerceptualHash | None:
    """Return a picture's hash; None if it has too little detail for one.

    Args:
        pixels: Shape (H, W, 3), uint8, RGB.
    """
    grey = _grey(pixels)
    if _quality(grey) < MIN_QUALITY:
        return None
    rows, columns = (_transform(side) for side in grey.shape)
    return PerceptualHash(_codes(rows @ grey @ columns.T))


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(pixels).convert("L"), np.float32)


@lru_cache(maxsize=_CACHED_SIDES)
def _reduction(side: int) -> NDArray[np.float32]:
    """Return the matrix that smooths ``side`` pixels and picks 64 of them, shape (64, side).

    Smoothing is the mean over a window, twice; windows are cut off at the borders.
    """
    window = (side + 2 * _CELLS - 1) // (2 * _CELLS)
    after = (window + 2) // 2
    places = np.arange(side)
    first = np.maximum(places - (window - after), 0)
    end = np.minimum(places + after, side)
    is_inside = (places >= first[:, np.newaxis]) & (places < end[:, np.newaxis])
    mean = is_inside / (end - first)[:, np.newaxis]
    picked = ((np.arange(_CELLS) + 0.5) * side / _CELLS).astype(np.int64)
    return np.ascontiguousarray(mean[picked] @ mean, np.float32)


@lru_cache(maxsize=_CACHED_SIDES)
def _transform(side: int) -> NDArray[np.float32]:
    """Return the matrix from ``side`` pixels to their coefficients, and to those in reverse, shape (32, side).

    The coefficients are the lowest frequencies of the discrete cosine transform but the mean.
    """
    frequencies = np.arange(1, _FREQUENCIES + 1)[:, np.newaxis]
    places = 2 * np.arange(_CELLS) + 1
    waves = np.sqrt(2 / _CELLS) * np.cos(np.pi / (2 * _CELLS) * frequencies * places)
    transform = waves.astype(np.float32) @ _reduction(side)
    return np.concatenate([transform, transform[:, ::-1]]).astype(np.float32, copy=False)


def _quality(grey: NDArray[np.float32]) -> int:
    """Return the sum of the differences of neighbours in percent of the range, scaled to 0 to 100."""
    reduced = _reduction(grey.shape[0]) @ grey @ _reduction(grey.shape[1]).T
    total = sum(
        int(np.abs(np.trunc(np.diff(reduced, axis=axis) * 100 / 255)).sum(dtype=np.int64)) for axis in (0, 1)
    )
    return min(100, total // 90)


def _codes(coefficients: NDArray[np.floating]) -> NDArray[np.uint64]:
    """Return the hashes of the eight orientations, shape (8, 4), from the coefficients, shape (32, 32)."""
    half = _FREQUENCIES
    upright, mirrored = coefficients[:half, :half], coefficients[:half, half:]
    flipped, turned = coefficients[half:, :half], coefficients[half:, half:]
    ordered = (upright, mirrored, turned, flipped, upright.T, flipped.T, turned.T, mirrored.T)
    rows = np.stack(ordered).reshape(8, HASH_BITS)
    # The reference takes the lower of the two middle values.
    lower = HASH_BITS // 2 - 1
    middle = np.partition(rows, lower, axis=1)[:, lower : lower + 1]
    return pack_signs(np.where(rows > middle, np.float32(1), np.float32(-1)))
