"""Rank a gallery for one query at a time, when which pictures are relevant is not a matter of labels."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.learning.evaluation.ties import TiedRanking

CANDIDATES: Final = 200
"""Number of first results of the codes that descriptors rank again."""


def ranking_by_distance(distances: NDArray[np.int64], relevant: NDArray[np.bool_]) -> TiedRanking:
    """Rank by integer distances, equals tied.

    Args:
        distances: Shape (n,), int64, at least 0.
        relevant: Shape (n,), bool.
    """
    groups = int(distances.max()) + 1
    return TiedRanking(
        np.bincount(distances, minlength=groups)[None],
        np.bincount(distances[relevant], minlength=groups)[None],
    )


def ranking_by_order(order: NDArray[np.int64], relevant: NDArray[np.bool_]) -> TiedRanking:
    """Rank rows in this order, without ties.

    Args:
        order: Rows, nearest first, shape (n,), int64.
        relevant: Shape (n,), bool.
    """
    return TiedRanking(np.ones((1, len(order)), dtype=np.int64), relevant[order][None].astype(np.int64))


def order_by_descriptors(
    distances: NDArray[np.int64], descriptor: NDArray[Any], gallery: NDArray[Any]
) -> NDArray[np.int64]:
    """Order rows by distance, the first ``CANDIDATES`` of them by cosine of descriptors.

    Args:
        distances: Hamming distances, shape (n,), int64.
        descriptor: Of the query, shape (m,).
        gallery: Descriptors, shape (n, m).
    """
    order = np.argsort(distances, kind="stable")
    first = order[:CANDIDATES]
    similarity = cosines(descriptor[None], gallery[first])[0]
    return np.concatenate([first[np.argsort(-similarity, kind="stable")], order[CANDIDATES:]])


def cosines(queries: NDArray[Any], gallery: NDArray[Any]) -> NDArray[np.float32]:
    """Cosines of all pairs of a query, (q, m), and a gallery row, (n, m); shape (q, n), float32."""
    units = []
    for rows in (queries, gallery):
        floats = rows.astype(np.float32)
        units.append(floats / np.linalg.norm(floats, axis=1, keepdims=True).clip(1e-9))
    similarity: NDArray[np.float32] = units[0] @ units[1].T
    return similarity
