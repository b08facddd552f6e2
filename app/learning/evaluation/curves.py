"""Curves of a ranking and of the bits of its codes, for plots."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import unpack_signs
from app.learning.evaluation.ties import TiedRanking, precision_at

DEPTHS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class RankingCurves:
    """Sums up rankings on their way to something else.

    Attributes:
        counts: Pictures at each distance over all queries, float64, shape (groups,).
        relevant: Relevant ones among them, same shape.
    """

    def __init__(self, bits: int) -> None:
        """Expect rankings with one group for each distance from 0 to ``bits``."""
        self.counts = np.zeros(bits + 1)
        self.relevant = np.zeros(bits + 1)
        self._precisions = np.zeros(len(DEPTHS))
        self._queries = 0
        self._gallery = 0

    def watch(self, rankings: Iterator[TiedRanking]) -> Iterator[TiedRanking]:
        """Pass rankings on and remember what the curves need."""
        for ranking in rankings:
            self.counts += ranking.counts.sum(axis=0)
            self.relevant += ranking.relevant.sum(axis=0)
            self._precisions += [precision_at(ranking, depth).sum() for depth in DEPTHS]
            self._queries += len(ranking.counts)
            self._gallery = int(ranking.counts[0].sum())
            yield ranking

    def as_dict(self) -> dict[str, Any]:
        """``precision_at``: [K, mean precision]; ``precision_recall``: [distance, recall, precision] within it.

        The second pools all queries, as a bound on the distance does.
        """
        found, relevant = np.cumsum(self.counts), np.cumsum(self.relevant)
        steps = np.flatnonzero(self.counts).tolist() if relevant[-1] else []
        return {
            "precision_at": [
                [depth, round(total / self._queries, 4)]
                for depth, total in zip(DEPTHS, self._precisions.tolist(), strict=True)
                if depth <= self._gallery
            ],
            "precision_recall": [
                [at, round(float(relevant[at] / relevant[-1]), 4), round(float(relevant[at] / found[at]), 4)]
                for at in steps
            ],
        }


def bit_curves(codes: NDArray[np.uint64], bits: int) -> dict[str, Any]:
    """Return ``set_share``, of each bit, and ``pictures_per_code``: [pictures that share a code, codes].

    Args:
        codes: Shape (n, words), uint64, n ≥ 1.
        bits: Code length.
    """
    shares = (unpack_signs(codes, bits) > 0).mean(axis=0)
    _, uses = np.unique(codes, axis=0, return_counts=True)
    return {
        "set_share": [round(share, 4) for share in shares.tolist()],
        "pictures_per_code": [list(pair) for pair in sorted(Counter(uses.tolist()).items())],
    }
