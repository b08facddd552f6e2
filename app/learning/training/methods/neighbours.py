"""Nearest neighbours of each picture of a training set, the positives of contrastive methods."""

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 1024


def nearest_neighbours(features: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The ``count`` rows of largest inner product with each row, itself left out, in no particular order.

    Args:
        features: Unit-length features, shape (n, d), float32, n > count.
        count: Neighbours a picture.

    Returns:
        Rows, shape (n, count), int64.
    """
    n = len(features)
    neighbours = np.empty((n, count), dtype=np.int64)
    for start in range(0, n, ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, n)
        likeness = features[start:stop] @ features.T
        likeness[np.arange(stop - start), np.arange(start, stop)] = -np.inf
        neighbours[start:stop] = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    return neighbours
