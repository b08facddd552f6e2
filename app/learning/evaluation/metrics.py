"""Rank by codes or features, and compute retrieval figures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import hamming
from app.learning.evaluation import ties
from app.learning.evaluation.ties import Floats, TiedRanking

QUERIES_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Figures:
    """Mean figures over queries, expected over the order of ties, except for best and worst."""

    map_all: float
    """Mean average precision over the full ranking."""
    map_best: float
    """mAP if relevant pictures came first among ties."""
    map_worst: float
    """mAP if relevant pictures came last among ties."""
    map_at_1000: float
    """mAP@1000, divided by min(1000, relevant)."""
    precision_at_10: float
    precision_at_100: float
    recall_at_1: float
    """Share of all relevant pictures ranked first; the hit rate if one picture is relevant."""
    recall_at_10: float

    def as_dict(self) -> dict[str, float]:
        """Rounded to what a table shows."""
        return {key: round(value, 4) for key, value in asdict(self).items()}


def rank_codes(
    queries: NDArray[np.uint64],
    query_labels: NDArray[np.int64],
    gallery: NDArray[np.uint64],
    gallery_labels: NDArray[np.int64],
    bits: int,
) -> Iterator[TiedRanking]:
    """Rank a gallery by Hamming distance; pictures with the query's label are relevant.

    Args:
        queries: Codes, shape (q, words), uint64.
        query_labels: Shape (q,), int64.
        gallery: Codes, shape (n, words), uint64.
        gallery_labels: Shape (n,), int64.
        bits: Code length; the rankings have bits + 1 groups, one per distance.

    Yields:
        Rankings of a few queries at a time, in order.
    """
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        stop = min(start + QUERIES_AT_ONCE, len(queries))
        counts = np.zeros((stop - start, bits + 1), dtype=np.int64)
        relevant = np.zeros_like(counts)
        for i in range(start, stop):
            distances = hamming(gallery, queries[i])
            counts[i - start] = np.bincount(distances, minlength=bits + 1)
            alike = gallery_labels == query_labels[i]
            relevant[i - start] = np.bincount(distances[alike], minlength=bits + 1)
        yield TiedRanking(counts, relevant)


def rank_features(
    queries: NDArray[np.float32],
    query_labels: NDArray[np.int64],
    gallery: NDArray[np.float32],
    gallery_labels: NDArray[np.int64],
    *,
    squared_distance: bool = False,
) -> Iterator[TiedRanking]:
    """Rank a gallery by inner product (cosine, for features of unit length) or by Euclidean distance.

    Real-valued ties are rare and broken by row, so each group holds one picture.

    Args:
        queries: Shape (q, d), float32.
        query_labels: Shape (q,), int64.
        gallery: Shape (n, d), float32.
        gallery_labels: Shape (n,), int64.
        squared_distance: Rank by Euclidean distance instead of the inner product.
    """
    norms = (gallery.astype(np.float64) ** 2).sum(axis=1) if squared_distance else np.zeros(len(gallery))
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        part = queries[start : start + QUERIES_AT_ONCE]
        cost = norms - (2 if squared_distance else 1) * (part @ gallery.T)  # (part, n)
        order = np.argsort(cost, axis=1, kind="stable")
        alike = gallery_labels[order] == query_labels[start : start + len(part), None]
        yield TiedRanking(np.ones(order.shape, dtype=np.int64), alike.astype(np.int64))


def figures(rankings: Iterator[TiedRanking]) -> Figures:
    """Mean figures over all queries."""
    return mean_figures(figures_by_query(rankings))


def mean_figures(per_query: Floats) -> Figures:
    """Mean over the rows of ``figures_by_query``."""
    return Figures(*(float(mean) for mean in per_query.mean(axis=0)))


def figures_by_query(rankings: Iterator[TiedRanking]) -> Floats:
    """Figures of each query, shape (q, 8), float64; columns in the order of ``Figures``."""
    measures: Sequence[Callable[[TiedRanking], Floats]] = (
        ties.expected_ap,
        ties.best_ap,
        ties.worst_ap,
        lambda ranking: ties.expected_ap(ranking, 1000),
        lambda ranking: ties.precision_at(ranking, 10),
        lambda ranking: ties.precision_at(ranking, 100),
        lambda ranking: ties.recall_at(ranking, 1),
        lambda ranking: ties.recall_at(ranking, 10),
    )
    return np.concatenate(
        [np.stack([measure(ranking) for measure in measures], axis=1) for ranking in rankings]
    )
