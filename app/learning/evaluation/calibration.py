"""Quantiles of the Hamming distances between edited copies, within a kind, and between unrelated pictures."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import hamming

QUANTILES = (1, 5, 25, 50, 75, 95, 99)


def pair_distances(
    queries: NDArray[np.uint64],
    query_labels: NDArray[np.int64],
    gallery: NDArray[np.uint64],
    gallery_labels: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distances of all pairs of a query and a gallery picture, within a kind and across kinds.

    Args:
        queries: Codes, shape (q, words), uint64.
        query_labels: Shape (q,), int64.
        gallery: Codes, shape (n, words), uint64.
        gallery_labels: Shape (n,), int64.

    Returns:
        Distances within a kind and across kinds, one-dimensional, int64; either may be empty.
    """
    alike, unlike = [], []
    for code, label in zip(queries, query_labels, strict=True):
        distances = hamming(gallery, code)
        alike.append(distances[gallery_labels == label])
        unlike.append(distances[gallery_labels != label])
    return np.concatenate(alike), np.concatenate(unlike)


def quantiles(distances: Mapping[str, NDArray[np.int64]]) -> dict[str, dict[str, float]]:
    """Percentiles by sort of pair, as ``{"copies": {"p50": 12.0, …}, …}``; a sort without pairs is left out."""
    return {
        sort: {
            f"p{q}": round(float(value), 1)
            for q, value in zip(QUANTILES, np.percentile(of, QUANTILES), strict=True)
        }
        for sort, of in distances.items()
        if len(of)
    }
