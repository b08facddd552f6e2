"""Query expansion and gallery averaging: rank by means of near neighbours, without labels.

Source: α-weighted query expansion of Radenović, Tolias, Chum (Fine-tuning CNN Image Retrieval with No Human
Annotation, TPAMI 2018), applied to the gallery as well (Turcot, Lowe, 2009).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS: Final = 10
POWER: Final = 3.0
"""α of the source."""
ROWS_AT_ONCE: Final = 500

Features = NDArray[np.float32]


def expand(
    queries: Features, gallery: Features, *, neighbours: int = NEIGHBOURS, power: float = POWER
) -> tuple[Features, Features]:
    """Average each gallery row with its nearest gallery rows, then each query with its nearest averaged rows.

    Args:
        queries: Unit-length features, shape (q, d), float32.
        gallery: Unit-length features, shape (n, d), float32.
        neighbours: Number of gallery rows averaged with a row; a gallery row is one of its own.
        power: A neighbour weighs its cosine, if positive, to this power; the row itself weighs 1.

    Returns:
        Queries and gallery, of unit length.
    """
    # A gallery row is its own nearest neighbour, so it needs no term of its own.
    averaged = _averaged(np.zeros_like(gallery), gallery, gallery, min(neighbours + 1, len(gallery)), power)
    return _averaged(queries, queries, averaged, min(neighbours, len(gallery)), power), averaged


def _averaged(own: Features, rows: Features, gallery: Features, count: int, power: float) -> Features:
    parts = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        cosines = rows[start : start + ROWS_AT_ONCE] @ gallery.T
        near = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        # A product with a matrix that is mostly zeros takes less time than to gather the neighbours.
        weights = np.zeros_like(cosines)
        np.put_along_axis(weights, near, np.take_along_axis(cosines, near, axis=1).clip(min=0) ** power, axis=1)
        parts.append(own[start : start + ROWS_AT_ONCE] + weights @ gallery)
    summed = np.concatenate(parts)
    unit: Features = summed / np.linalg.norm(summed, axis=1, keepdims=True).clip(1e-9)
    return unit
