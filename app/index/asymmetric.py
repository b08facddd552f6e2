"""Asymmetric ranking: real-valued query outputs against the bits of pictures that a scan found."""

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import unpack_signs
from app.index.matrix import Numbers
from app.index.view import IndexView


def asymmetric_order(
    view: IndexView, numbers: Numbers, y: NDArray[np.float32]
) -> tuple[Numbers, NDArray[np.float64]]:
    """Order pictures by how much of ``y`` their bits contradict.

    The distance is the sum of ``|y_j|`` over the bits j that differ from the sign of ``y_j``, so a bit of which
    the query is unsure counts little. If all ``|y_j|`` are 1, it is the Hamming distance. Ties are ordered by
    number.

    Args:
        view: The state that holds the codes.
        numbers: Pictures to order, shape (m,); those that are not in ``view`` are left out.
        y: The query's hash-layer outputs, shape (bits,).

    Returns:
        Numbers, nearest first, and their distances.

    Raises:
        ValueError: The length of ``y`` is not the code length.

    Source: Gordo, Perronnin, Gong, Lazebnik, "Asymmetric Distances for Binary Embeddings", TPAMI 2014.
    """
    if y.shape != (view.bits,):
        raise ValueError(f"y has shape {y.shape}, the codes {view.bits} bits")
    known, codes = view.codes_of(np.sort(numbers))
    differs = unpack_signs(codes, view.bits) != np.where(y >= 0, 1, -1)  # (m, bits)
    distances = differs @ np.abs(y.astype(np.float64))
    order = np.argsort(distances, kind="stable")
    return known[order], distances[order]
