"""Nearest neighbours within a training set, the positives of contrastive methods."""

import numpy as np
from numpy.typing import NDArray

from app.learning.training.methods.memory import keep_last

ROWS_AT_ONCE = 1024


@keep_last
def nearest_neighbours(features: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Find the ``count`` rows with the largest inner product with each row, excluding itself, unordered.

    Args:
        features: Unit-length features, shape (n, d), float32, n > count.
        count: Neighbours per picture.

    Returns:
        Rows, shape (n, count), int64; read-only, since several fits share them.
    """
    n = len(features)
    neighbours = np.empty((n, count), dtype=np.int64)
    for start in range(0, n, ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, n)
        similarity = features[start:stop] @ features.T
        similarity[np.arange(stop - start), np.arange(start, stop)] = -np.inf
        neighbours[start:stop] = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    return neighbours
