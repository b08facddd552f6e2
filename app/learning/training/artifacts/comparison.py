"""Compare a new model with the one in use, on kinds and on edited copies, before anyone switches to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.learning.datasets.edits import EDITS
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import SAME_KIND, Split
from app.learning.evaluation import ties
from app.learning.evaluation.single_queries import (
    cosines,
    order_by_descriptors,
    ranking_by_distance,
    ranking_by_order,
)
from app.learning.training.artifacts.outputs import Outputs, OutputSource

MAX_QUERIES: Final = 300
MAX_COPIED: Final = 60
"""Largest number of pictures that are edited; each is searched with under every edit."""
NEIGHBOURS: Final = 10
NEIGHBOURS_RULE: Final = "one of the {count} nearest pictures by the descriptors of {name} (there are no kinds)"
DEVIATIONS: Final = 1.96
"""Half width of a 95 % interval, in standard errors."""

WORSE: Final = "worse"
NOTE: Final = (
    "by its codes alone the new model is worse ({new:.3f} instead of {old:.3f}): searches with rank=hamming, "
    "by codes or by several pictures, and duplicates within max_distance, find less"
)

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Pair = tuple[OutputSource, OutputSource]


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """One figure of each query under one model: average precision, or whether the original comes first."""

    by_code: Floats
    by_descriptor: Floats | None
    """After the first candidates are ranked again by descriptors; None if the model has none."""
    figures: dict[str, float]

    @property
    def best(self) -> Floats:
        """The figures in the order that finds more."""
        if self.by_descriptor is None or self.by_descriptor.mean() < self.by_code.mean():
            return self.by_code
        return self.by_descriptor


def compare_models(
    new: OutputSource, old: OutputSource, split: Split, *, old_name: str, old_digest: str
) -> dict[str, Any]:
    """Measure two models on the same queries.

    Args:
        new: The model that was trained.
        old: The model in use.
        split: Gallery and held-out queries. Without kinds, each query should find its neighbours by the
            descriptors of the old model.
        old_name: Name of the old model.
        old_digest: Its identity.

    Returns:
        ``against``, ``digest``, and for ``kinds`` and ``copies`` the figures of both models and a verdict.
        ``kinds`` is missing if there are no kinds and the old model has no descriptors.
    """
    kinds = _kinds((new, old), split) if split.has_kinds else _neighbours((new, old), split, old_name)
    compared: dict[str, Any] = {"against": old_name, "digest": old_digest}
    if kinds is not None:
        compared["kinds"] = kinds
    return compared | {"copies": _copies((new, old), split)}


def copied_pictures(split: Split, most: int = MAX_COPIED) -> LabelledPictures:
    """Evenly spaced pictures of which copies are made: held-out ones if there are kinds."""
    originals = split.queries if split.has_kinds else split.gallery
    return originals.subset(_spaced(len(originals), most))


def _kinds(pair: Pair, split: Split) -> dict[str, Any]:
    rows = _spaced(len(split.queries), MAX_QUERIES)
    relevant = split.queries.labels[rows, None] == split.gallery.labels[None, :]
    # All queries are encoded, so that their features are found in the cache.
    new, old = (
        _mean_precisions(_rows_of(source.outputs(split.queries), rows), source.outputs(split.gallery), relevant)
        for source in pair
    )
    return {"relevant": SAME_KIND, "queries": len(rows), **_verdict(new, old)}


def _neighbours(pair: Pair, split: Split, old_name: str) -> dict[str, Any] | None:
    galleries = [source.outputs(split.gallery) for source in pair]
    described = galleries[1].descriptors
    if described is None or len(split.gallery) <= NEIGHBOURS:
        return None
    rows = _spaced(len(split.gallery), MAX_QUERIES)
    similarity = cosines(described[rows], described)
    similarity[np.arange(len(rows)), rows] = -np.inf
    nearest = np.argpartition(-similarity, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    relevant = np.zeros(similarity.shape, dtype=np.bool_)
    np.put_along_axis(relevant, nearest, values=True, axis=1)
    # Only codes are compared: by its descriptors the old model finds its own neighbours.
    new, old = (
        _mean_precisions(Outputs(gallery.codes[rows], None), gallery, relevant, own=rows)
        for gallery in galleries
    )
    rule = NEIGHBOURS_RULE.format(count=NEIGHBOURS, name=old_name)
    return {"relevant": rule, "queries": len(rows), **_verdict(new, old)}


def _copies(pair: Pair, split: Split) -> dict[str, Any]:
    originals = copied_pictures(split)
    new, old = (_first_results(source, split, originals) for source in pair)
    return {
        "relevant": "the picture that was edited",
        "edits": list(EDITS),
        "queries": len(EDITS) * len(originals),
        **_verdict(new, old),
    }


def _verdict(new: _Measured, old: _Measured) -> dict[str, Any]:
    """Figures of both models, and whether the new one is better by more than chance over the queries.

    ``by_code`` is the verdict on the codes alone. ``note`` names figures that are worse although the verdict is
    not; None if there are none.
    """
    verdict, mean, half = _judged(new.best - old.best)
    by_code, _, _ = _judged(new.by_code - old.by_code)
    interval = [round(mean - half, 4), round(mean + half, 4)] if np.isfinite(half) else None
    return {
        "new": new.figures,
        "old": old.figures,
        "difference": round(mean, 4),
        "interval": interval,
        "verdict": verdict,
        "by_code": by_code,
        "note": NOTE.format(new=float(new.by_code.mean()), old=float(old.by_code.mean()))
        if by_code == WORSE and verdict != WORSE
        else None,
    }


def _judged(difference: Floats) -> tuple[str, float, float]:
    """Return the verdict on differences of queries, their mean, and half of its 95 % interval."""
    count, mean = len(difference), float(difference.mean())
    half = DEVIATIONS * float(difference.std(ddof=1)) / count**0.5 if count > 1 else np.inf
    return ("better" if mean > half else WORSE if mean < -half else "no clear difference"), mean, half


def _mean_precisions(
    queries: Outputs, gallery: Outputs, relevant: NDArray[np.bool_], own: Rows | None = None
) -> _Measured:
    """Average precision of each query; ``own`` is the row of each query in the gallery, which is left out."""
    aps: dict[str, list[Floats]] = {"by_code": [], "by_descriptor": []}
    tens: dict[str, list[Floats]] = {"by_code": [], "by_descriptor": []}
    for i, distances in _distances(queries, gallery, own):
        ranked = {"by_code": ranking_by_distance(distances, relevant[i])}
        if queries.descriptors is not None and gallery.descriptors is not None:
            order = order_by_descriptors(distances, queries.descriptors[i], gallery.descriptors)
            ranked["by_descriptor"] = ranking_by_order(order, relevant[i])
        for name, ranking in ranked.items():
            aps[name].append(ties.expected_ap(ranking))
            tens[name].append(ties.precision_at(ranking, 10))
    values = {name: np.concatenate(of) for name, of in aps.items() if of}
    figures = {}
    for name, of in values.items():
        figures[f"map_{name}"] = round(float(of.mean()), 4)
        figures[f"precision_at_10_{name}"] = round(float(np.concatenate(tens[name]).mean()), 4)
    return _Measured(values["by_code"], values.get("by_descriptor"), figures)


def _first_results(source: OutputSource, split: Split, originals: LabelledPictures) -> _Measured:
    """Whether an edited copy finds its original first, among the original and the whole gallery."""
    gallery = source.outputs(split.gallery)
    if split.has_kinds:
        held_out = source.outputs(originals)
        searched = _joined(held_out, gallery)
        own = np.arange(len(originals))
    else:
        row_of = {name: row for row, name in enumerate(split.gallery.names)}
        searched, own = gallery, np.array([row_of[name] for name in originals.names])
    by_code, by_descriptor = [], []
    for edit in EDITS:
        copies = source.outputs(originals, edit)
        for i, distances in _distances(copies, searched, None):
            at = distances[own[i]]
            nearer, equal = int((distances < at).sum()), int((distances == at).sum())
            by_code.append(0.0 if nearer else 1 / equal)
            if copies.descriptors is not None and searched.descriptors is not None:
                order = order_by_descriptors(distances, copies.descriptors[i], searched.descriptors)
                by_descriptor.append(float(order[0] == own[i]))
    described = np.array(by_descriptor) if by_descriptor else None
    figures = {"recall_at_1_by_code": round(float(np.mean(by_code)), 4)}
    if described is not None:
        figures["recall_at_1_by_descriptor"] = round(float(described.mean()), 4)
    return _Measured(np.array(by_code), described, figures)


def _distances(queries: Outputs, gallery: Outputs, own: Rows | None) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each query's number and its Hamming distances to the gallery, (n,); its own row comes last."""
    farthest = 64 * gallery.codes.shape[1] + 1
    for i, code in enumerate(queries.codes):
        distances = np.bitwise_count(gallery.codes ^ code).sum(axis=1, dtype=np.int64)
        if own is not None:
            distances[own[i]] = farthest
        yield i, distances


def _rows_of(outputs: Outputs, rows: Rows) -> Outputs:
    return Outputs(outputs.codes[rows], None if outputs.descriptors is None else outputs.descriptors[rows])


def _joined(first: Outputs, second: Outputs) -> Outputs:
    codes = np.concatenate([first.codes, second.codes])
    if first.descriptors is None or second.descriptors is None:
        return Outputs(codes, None)
    return Outputs(codes, np.concatenate([first.descriptors, second.descriptors]))


def _spaced(count: int, most: int) -> Rows:
    """Up to ``most`` evenly spaced rows."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))
