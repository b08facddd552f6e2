"""Retrieval metrics of rankings with ties: expected over every order of ties, best and worst.

A ranking by Hamming distance is a sequence of groups of equal distance. Group g has ``n`` pictures, ``r`` of
them relevant, and follows ``N`` pictures with ``R`` relevant ones. Within a group every order is equally
likely, so

    E[AP] · relevant = Σ_g r/n · Σ_{i=1..n} (R + 1 + (i − 1) c) / (N + i),   c = (r − 1) / (n − 1)

(McSherry, Najork: Computing information retrieval performance measures efficiently in the presence of tied
scores, ECIR 2008). With harmonic numbers H the inner sum is closed, so a query costs one step a group:

    Σ_{i=1..m} (R + 1 − c + c i) / (N + i) = (R + 1 − c) h + c (m − N h),   h = H(N + m) − H(N)
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TiedRanking:
    """Rankings of one gallery for q queries, as counts per group, nearest group first.

    Attributes:
        counts: Pictures in each group, shape (q, groups), int64; groups may be empty.
        relevant: Relevant ones among them, same shape.
    """

    counts: NDArray[np.int64]
    relevant: NDArray[np.int64]

    @property
    def before(self) -> NDArray[np.int64]:
        """N: number of pictures before each group, shape (q, groups)."""
        return np.cumsum(self.counts, axis=1) - self.counts

    @property
    def relevant_before(self) -> NDArray[np.int64]:
        """R: number of relevant pictures before each group, shape (q, groups)."""
        return np.cumsum(self.relevant, axis=1) - self.relevant

    @property
    def total_relevant(self) -> NDArray[np.int64]:
        """Number of relevant pictures in the gallery, shape (q,)."""
        return self.relevant.sum(axis=1)


def expected_ap(ranking: TiedRanking, depth: int | None = None) -> Floats:
    """Average precision, expected over the order of ties.

    Args:
        ranking: Counts by group.
        depth: R of AP@R; the whole ranking by default. AP@R is divided by min(R, relevant in the gallery),
            which is known before ranking; dividing by the number of hits would reward finding few.

    Returns:
        Shape (q,), float64; 0 for queries without any relevant picture.
    """
    n, r, ahead, relevant_ahead = _floats(ranking)
    taken = _taken(n, ahead, depth)
    c = np.divide(r - 1, n - 1, out=np.zeros_like(r), where=n > 1)
    h = _harmonic_between(ahead, ahead + taken)
    inner = (relevant_ahead + 1 - c) * h + c * (taken - ahead * h)
    share = np.divide(r, n, out=np.zeros_like(r), where=n > 0)
    return _per_relevant((share * inner).sum(axis=1), ranking, depth)


def best_ap(ranking: TiedRanking, depth: int | None = None) -> Floats:
    """Average precision if relevant pictures came first among ties; otherwise as ``expected_ap``."""
    n, r, ahead, relevant_ahead = _floats(ranking)
    taken = np.minimum(r, _taken(n, ahead, depth))
    # Σ_{i=1..taken} (R + i) / (N + i)
    gain = taken - (ahead - relevant_ahead) * _harmonic_between(ahead, ahead + taken)
    return _per_relevant(gain.sum(axis=1), ranking, depth)


def worst_ap(ranking: TiedRanking, depth: int | None = None) -> Floats:
    """Average precision if relevant pictures came last among ties; otherwise as ``expected_ap``."""
    n, r, ahead, relevant_ahead = _floats(ranking)
    start = ahead + n - r
    taken = np.clip(_taken(n, ahead, depth) - (n - r), 0, None)
    gain = taken - (start - relevant_ahead) * _harmonic_between(start, start + taken)
    return _per_relevant(gain.sum(axis=1), ranking, depth)


def precision_at(ranking: TiedRanking, k: int) -> Floats:
    """P@K: relevant share of the first K, expected over the order of ties; shape (q,)."""
    return _found_at(ranking, k) / k


def recall_at(ranking: TiedRanking, k: int) -> Floats:
    """Recall@K: share of the relevant pictures among the first K, expected; shape (q,)."""
    total = ranking.total_relevant
    return np.divide(_found_at(ranking, k), total, out=np.zeros(len(total)), where=total > 0)


def radius_precision(ranking: TiedRanking, groups: int) -> Floats:
    """Precision in the first ``groups`` groups, 0 if they are empty; shape (q,).

    For a ranking by Hamming distance, groups = radius + 1.
    """
    found = ranking.counts[:, :groups].sum(axis=1)
    relevant = ranking.relevant[:, :groups].sum(axis=1)
    return np.divide(relevant, found, out=np.zeros(len(found)), where=found > 0)


def precision_recall_curve(ranking: TiedRanking) -> tuple[Floats, Floats]:
    """Recall and precision of all pictures up to each group, averaged over queries with relevant pictures.

    Precision counts as 1 while a query has no results.

    Returns:
        Recall and precision, shape (groups,) each, float64.
    """
    has_any = ranking.total_relevant > 0
    found = np.cumsum(ranking.counts[has_any], axis=1).astype(np.float64)
    relevant = np.cumsum(ranking.relevant[has_any], axis=1).astype(np.float64)
    precision = np.divide(relevant, found, out=np.ones_like(relevant), where=found > 0)
    recall: Floats = (relevant / ranking.total_relevant[has_any, None]).mean(axis=0)
    return recall, precision.mean(axis=0)


def _found_at(ranking: TiedRanking, k: int) -> Floats:
    n, r, ahead, _ = _floats(ranking)
    share = np.divide(_taken(n, ahead, k), n, out=np.zeros_like(n), where=n > 0)
    found: Floats = (share * r).sum(axis=1)
    return found


def _floats(ranking: TiedRanking) -> tuple[Floats, Floats, Floats, Floats]:
    return (
        ranking.counts.astype(np.float64),
        ranking.relevant.astype(np.float64),
        ranking.before.astype(np.float64),
        ranking.relevant_before.astype(np.float64),
    )


def _taken(n: Floats, ahead: Floats, depth: int | None) -> Floats:
    """Number of a group's pictures within the depth."""
    return n if depth is None else np.minimum(n, np.clip(depth - ahead, 0, None))


def _per_relevant(gain: Floats, ranking: TiedRanking, depth: int | None) -> Floats:
    total = ranking.total_relevant if depth is None else np.minimum(ranking.total_relevant, depth)
    return np.divide(gain, total, out=np.zeros(len(gain)), where=total > 0)


def _harmonic_between(start: Floats, stop: Floats) -> Floats:
    """H(stop) − H(start), the sum of 1 / i for start < i ≤ stop."""
    table = _harmonic_numbers(int(stop.max(initial=0)))
    between: Floats = table[stop.astype(np.int64)] - table[start.astype(np.int64)]
    return between


@lru_cache(maxsize=8)
def _harmonic_numbers(largest: int) -> Floats:
    return np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, largest + 1))])
