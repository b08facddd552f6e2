"""All reported measurements of a set of codes, or of features, on a split."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import pack_signs
from app.learning.evaluation import ties
from app.learning.evaluation.bits import BitUse, bit_use
from app.learning.evaluation.metrics import Figures, figures, rank_codes, rank_features
from app.learning.evaluation.ties import TiedRanking

CURVE_AT = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
RADIUS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Kinds of queries and gallery, shapes (q,) and (n,), int64."""

    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures, curves and, for codes, bit use."""

    figures: Figures
    precision_at: dict[int, float]
    """P@K by K."""
    recall_curve: list[float]
    precision_curve: list[float]
    """Precision and recall of all pictures up to each distance; empty for features."""
    radius_precision: float | None = None
    """Mean precision within Hamming radius 2, 0 for queries without any result; None for features."""
    bits: BitUse | None = None

    def as_dict(self) -> dict[str, Any]:
        """The stored form."""
        return {
            **self.figures.as_dict(),
            "precision_at": {str(k): round(p, 4) for k, p in self.precision_at.items()},
            "recall_curve": [round(r, 4) for r in self.recall_curve],
            "precision_curve": [round(p, 4) for p in self.precision_curve],
            "radius_precision": None if self.radius_precision is None else round(self.radius_precision, 4),
            "bits": None if self.bits is None else self.bits.as_dict(),
        }


def evaluate_codes(query_u: NDArray[np.float32], gallery_u: NDArray[np.float32], labels: Labels) -> Evaluation:
    """Rank by Hamming distance of the signs.

    Args:
        query_u: Hash-layer outputs of the queries, shape (q, bits), float32.
        gallery_u: The same of the gallery, shape (n, bits), float32.
        labels: Their kinds.
    """
    bits = gallery_u.shape[1]
    gallery = pack_signs(gallery_u)
    rankings = list(rank_codes(pack_signs(query_u), labels.queries, gallery, labels.gallery, bits))
    whole = TiedRanking(
        np.concatenate([r.counts for r in rankings]), np.concatenate([r.relevant for r in rankings])
    )
    recall, precision = ties.precision_recall_curve(whole)
    return Evaluation(
        figures(iter(rankings)),
        {k: float(ties.precision_at(whole, k).mean()) for k in CURVE_AT if k <= len(gallery)},
        recall.tolist(),
        precision.tolist(),
        float(ties.radius_precision(whole, RADIUS + 1).mean()),
        bit_use(gallery, bits),
    )


def evaluate_features(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    labels: Labels,
    *,
    squared_distance: bool = False,
) -> Evaluation:
    """Rank by cosine, or by Euclidean distance.

    Args:
        queries: Shape (q, d), float32.
        gallery: Shape (n, d), float32.
        labels: Their kinds.
        squared_distance: Rank by Euclidean distance instead of cosine.
    """
    if not squared_distance:
        queries, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-9) for x in (queries, gallery))
    parts, curves = [], []
    for ranking in rank_features(
        queries, labels.queries, gallery, labels.gallery, squared_distance=squared_distance
    ):
        parts.append(figures(iter([ranking])))
        curves.append(np.stack([ties.precision_at(ranking, k) for k in CURVE_AT if k <= len(gallery)], axis=1))
    sizes = [len(curve) for curve in curves]
    mean = np.average([list(part.as_tuple()) for part in parts], axis=0, weights=sizes)
    precision = np.concatenate(curves).mean(axis=0)
    return Evaluation(
        Figures(*(float(value) for value in mean)),
        {k: float(p) for k, p in zip(CURVE_AT, precision, strict=False)},
        [],
        [],
    )
