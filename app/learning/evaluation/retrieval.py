"""All reported measurements of a set of codes, or of features, on a split."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import pack_signs
from app.learning.evaluation import ties
from app.learning.evaluation.bits import BitUse, bit_use
from app.learning.evaluation.bootstrap import bootstrap_interval
from app.learning.evaluation.metrics import Figures, figures_by_query, mean_figures, rank_codes, rank_features
from app.learning.evaluation.ties import TiedRanking

CURVE_AT = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
RADIUS = 2
COLUMNS = tuple(field.name for field in fields(Figures))


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Kinds of queries and gallery, shapes (q,) and (n,), int64."""

    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of each query and their means, curves and, for codes, bit use."""

    by_query: NDArray[np.float64]
    """Figures of each query, shape (q, 8); columns in the order of ``Figures``."""
    precision_at: dict[int, float]
    """P@K by K."""
    recall_curve: list[float]
    precision_curve: list[float]
    """Precision and recall of all pictures up to each distance; empty for features."""
    radius_precision: float | None = None
    """Mean precision within Hamming radius 2, 0 for queries without any result; None for features."""
    bits: BitUse | None = None

    @property
    def figures(self) -> Figures:
        """Mean figures over the queries."""
        return mean_figures(self.by_query)

    @property
    def average_precisions(self) -> NDArray[np.float64]:
        """Average precision of each query, shape (q,)."""
        return self.by_query[:, COLUMNS.index("map_all")]

    @property
    def precisions_at_10(self) -> NDArray[np.float64]:
        """P@10 of each query, shape (q,)."""
        return self.by_query[:, COLUMNS.index("precision_at_10")]

    def as_dict(self) -> dict[str, Any]:
        """The stored form; intervals cover 95 % of the bootstrap over queries."""
        return {
            **self.figures.as_dict(),
            "map_interval": _rounded(bootstrap_interval(self.average_precisions)),
            "precision_at_10_interval": _rounded(bootstrap_interval(self.precisions_at_10)),
            "precision_at": {str(k): round(p, 4) for k, p in self.precision_at.items()},
            "recall_curve": _rounded(self.recall_curve),
            "precision_curve": _rounded(self.precision_curve),
            "radius_precision": None if self.radius_precision is None else round(self.radius_precision, 4),
            "bits": None if self.bits is None else self.bits.as_dict(),
        }


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(value, 4) for value in values]


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
        figures_by_query(iter(rankings)),
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
        parts.append(figures_by_query(iter([ranking])))
        curves.append(np.stack([ties.precision_at(ranking, k) for k in CURVE_AT if k <= len(gallery)], axis=1))
    precision = np.concatenate(curves).mean(axis=0)
    return Evaluation(
        np.concatenate(parts),
        {k: float(p) for k, p in zip(CURVE_AT, precision, strict=False)},
        [],
        [],
    )
