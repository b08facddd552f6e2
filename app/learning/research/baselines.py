"""Baselines without learning: raw pixels, a colour histogram, perceptual hashes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

LEVELS: Final = 4
PHASH_SIDE: Final = 32
PHASH_KEPT: Final = 8


def raw_pixels(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, S, S, 3) uint8 to (n, 3·S·S) float32 in [0, 1]."""
    return pictures.reshape(len(pictures), -1).astype(np.float32) / np.float32(255)


def colour_histogram(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Square roots of the shares of 4×4×4 colours: (n, S, S, 3) uint8 to unit-length (n, 64) float32."""
    levels = (pictures.astype(np.int64) * LEVELS) // 256
    bins = (levels[..., 0] * LEVELS + levels[..., 1]) * LEVELS + levels[..., 2]  # (n, S, S)
    bins = bins.reshape(len(pictures), -1)
    counts = np.stack([np.bincount(row, minlength=LEVELS**3) for row in bins])
    return np.sqrt(counts / bins.shape[1]).astype(np.float32)


def perceptual_hash(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """pHash: the 64 lowest cosine frequencies of the grey picture, minus their median.

    Args:
        pictures: Shape (n, 32, 32, 3), uint8.

    Returns:
        Shape (n, 64), float32; the signs are the hash.

    Source: Zauner: Implementation and benchmarking of perceptual image hash functions, 2010.
    """
    grey = pictures.astype(np.float64) @ np.array([0.299, 0.587, 0.114])  # (n, 32, 32)
    basis = _cosines(PHASH_SIDE)[:PHASH_KEPT]
    low = (basis @ grey @ basis.T).reshape(len(pictures), -1)  # (n, 64)
    # The first coefficient is the mean brightness, which would distort the median.
    return (low - np.median(low[:, 1:], axis=1, keepdims=True)).astype(np.float32)


def difference_hash(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """dHash: the differences between grey pixels and their left neighbours.

    Args:
        pictures: Shape (n, 8, 9, 3), uint8.

    Returns:
        Shape (n, 64), float32; the signs are the hash.

    Source: Krawetz: Kind of Like That, 2013 (https://www.hackerfactor.com/blog/?/archives/529-Kind-of-Like-That.html).
    """
    grey = pictures.astype(np.float64) @ np.array([0.299, 0.587, 0.114])  # (n, 8, 9)
    return np.diff(grey, axis=2).reshape(len(pictures), -1).astype(np.float32)


def _cosines(side: int) -> NDArray[np.float64]:
    """Rows of the discrete cosine transform II, shape (side, side)."""
    frequency, position = np.arange(side)[:, None], np.arange(side)[None]
    rows: NDArray[np.float64] = np.cos(np.pi * frequency * (2 * position + 1) / (2 * side))
    return rows
