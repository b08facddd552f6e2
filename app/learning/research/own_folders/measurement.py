"""Rank a gallery for held-out queries or for edited copies, by every representation of the pictures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.learning.datasets.edits import EDITS, edited
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import Split, has_two_kinds, split_every_tenth
from app.learning.evaluation import ties
from app.learning.evaluation.protocol import UNKNOWN, Protocol
from app.learning.evaluation.single_queries import (
    cosines,
    order_by_descriptors,
    ranking_by_distance,
    ranking_by_order,
)
from app.learning.research.own_folders.representations import Pixels, Representation, Representations, Vectors
from app.learning.training.monitoring.progress_bar import with_progress

MAX_COPIED: Final = 100
"""Largest number of pictures that are edited."""
FIRST: Final = 5
"""Number of results that a failure shows."""
FAILURES: Final = 12
EDITS_RULE: Final = (
    "the gallery is all pictures; each query is an edited copy of one of them, evenly spaced by name; the "
    "checksum of the queries is that of their originals"
)

Floats = NDArray[np.float64]
ReadPixels = Callable[[], Pixels]


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture of a failure."""

    name: str
    pixels: ReadPixels
    is_relevant: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """One of the worst queries under the first representation."""

    query: ShownPicture
    average_precision: float
    results: tuple[ShownPicture, ...]
    expected: ShownPicture
    """A relevant picture."""


@dataclass(frozen=True, slots=True)
class FolderMeasurement:
    """A table of figures, and the worst failures of its first row."""

    title: str
    protocol: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    """``method``, ``map``, ``precision_at_10``, ``recall_at_1``; for copies also ``recall_at_1_by_edit``."""
    failures: tuple[Failure, ...]

    def as_dict(self) -> dict[str, Any]:
        """The figures, and the names of the pictures of failures."""
        failures = [
            {
                "query": one.query.name,
                "average_precision": round(one.average_precision, 4),
                "first": [result.name for result in one.results],
            }
            for one in self.failures
        ]
        return {
            "title": self.title,
            "protocol": self.protocol,
            "rows": list(self.rows),
            "failures": failures,
        }


@dataclass(frozen=True, slots=True)
class _Queries:
    """Queries, the gallery that they search, and how pictures are read."""

    vectors: dict[str, Vectors]
    gallery_vectors: dict[str, Vectors]
    relevant: NDArray[np.bool_]
    """Shape (q, n)."""
    gallery: LabelledPictures
    show: Callable[[int], ShownPicture]
    """Returns the picture of a query."""


def measure_kinds(representations: Representations, pictures: LabelledPictures) -> FolderMeasurement:
    """Hold out every tenth picture of each kind, and let it find the others of its kind.

    Raises:
        ValueError: Fewer than two kinds have two pictures, or a picture cannot be decoded.
    """
    if not has_two_kinds(pictures):
        raise ValueError(f"{pictures.name} needs at least two kinds of two pictures each, as <kind>/<picture>")
    split = split_every_tenth(pictures)
    queries = _Queries(
        representations.of(_pixels_of(split.queries)),
        representations.of(_pixels_of(split.gallery)),
        split.queries.labels[:, None] == split.gallery.labels[None, :],
        split.gallery,
        lambda i: _shown(split.queries, i, is_relevant=True),
    )
    rows: list[dict[str, Any]] = []
    failures: tuple[Failure, ...] = ()
    for representation in representations.rows:
        ranked = _rank(representation, queries)
        rows.append({"method": representation.name, **ranked.figures})
        failures = failures or _failures(representation, queries, ranked)
    return FolderMeasurement("Kinds", Protocol.of(split, UNKNOWN).as_dict(), tuple(rows), failures)


def measure_edits(representations: Representations, pictures: LabelledPictures) -> FolderMeasurement:
    """Search with edited copies of evenly spaced pictures among all pictures, originals included.

    Raises:
        ValueError: There are fewer than two pictures, or one cannot be decoded.
    """
    if len(pictures) < 2:
        raise ValueError(f"{pictures.name} needs at least two pictures")
    spaced = np.unique(np.linspace(0, len(pictures) - 1, min(MAX_COPIED, len(pictures))).astype(np.int64))
    originals, edits = np.tile(spaced, len(EDITS)), np.repeat(np.array(list(EDITS)), len(spaced))

    def copy(i: int) -> Pixels:
        return edited(pictures.pixels(int(originals[i])), str(edits[i]), int(originals[i]))

    numbers = with_progress(range(len(originals)), len(originals), "encoding edited copies", unit="copies")
    relevant = np.zeros((len(originals), len(pictures)), dtype=np.bool_)
    relevant[np.arange(len(originals)), originals] = True
    queries = _Queries(
        representations.of(copy(i) for i in numbers),
        representations.of(_pixels_of(pictures)),
        relevant,
        pictures,
        lambda i: ShownPicture(
            f"{pictures.names[originals[i]]}, {edits[i]}", lambda: copy(i), is_relevant=True
        ),
    )
    rows: list[dict[str, Any]] = []
    failures: tuple[Failure, ...] = ()
    for representation in representations.rows:
        ranked = _rank(representation, queries)
        by_edit = {edit: round(float(ranked.recalls[edits == edit].mean()), 4) for edit in EDITS}
        rows.append({"method": representation.name, **ranked.figures, "recall_at_1_by_edit": by_edit})
        failures = failures or _failures(representation, queries, ranked)
    split = Split(pictures, pictures.subset(spaced), EDITS_RULE, relevant="the picture that was edited")
    protocol = Protocol.of(split, UNKNOWN).as_dict() | {"queries": len(originals), "queries_in_gallery": 0}
    return FolderMeasurement("Edited copies", protocol, tuple(rows), failures)


@dataclass(frozen=True, slots=True)
class _Ranked:
    figures: dict[str, float]
    precisions: Floats
    """Average precision of each query, shape (q,)."""
    recalls: Floats
    """Whether the first result is relevant, expected over ties, shape (q,)."""


def _rank(representation: Representation, queries: _Queries) -> _Ranked:
    precisions, tens, firsts = [], [], []
    for i, relevant in enumerate(queries.relevant):
        is_code, values = _values(representation, queries, i)
        ranking = ranking_by_distance(values, relevant) if is_code else ranking_by_order(values, relevant)
        precisions.append(ties.expected_ap(ranking))
        tens.append(ties.precision_at(ranking, 10))
        firsts.append(ties.precision_at(ranking, 1))
    means = [np.concatenate(values) for values in (precisions, tens, firsts)]
    names = ("map", "precision_at_10", "recall_at_1")
    figures = {name: round(float(of.mean()), 4) for name, of in zip(names, means, strict=True)}
    return _Ranked(figures, means[0], means[2])


def _values(representation: Representation, queries: _Queries, i: int) -> tuple[bool, NDArray[np.int64]]:
    """Whether the representation ranks by distances, and these, or else the rows in order; shape (n,)."""
    key = representation.first_by or representation.vectors
    query, gallery = queries.vectors[key][i], queries.gallery_vectors[key]
    if query.dtype != np.uint64:
        return False, np.argsort(-cosines(query[None], gallery)[0], kind="stable")
    distances = np.bitwise_count(gallery ^ query).sum(axis=1, dtype=np.int64)
    if representation.exists is not None:
        has_vector = queries.gallery_vectors[representation.exists] & queries.vectors[representation.exists][i]
        distances[~has_vector] = 64 * gallery.shape[1] + 1
    if representation.first_by is None:
        return True, distances
    ranking = representation.vectors
    return False, order_by_descriptors(distances, queries.vectors[ranking][i], queries.gallery_vectors[ranking])


def _failures(representation: Representation, queries: _Queries, ranked: _Ranked) -> tuple[Failure, ...]:
    found = []
    for i in np.argsort(ranked.precisions, kind="stable")[:FAILURES].tolist():
        relevant = queries.relevant[i]
        is_code, values = _values(representation, queries, i)
        order = np.argsort(values, kind="stable") if is_code else values
        expected = next(iter(order[relevant[order]].tolist()), None)
        if expected is None or ranked.precisions[i] == 1:
            continue
        found.append(
            Failure(
                queries.show(i),
                float(ranked.precisions[i]),
                tuple(
                    _shown(queries.gallery, row, is_relevant=bool(relevant[row]))
                    for row in order[:FIRST].tolist()
                ),
                _shown(queries.gallery, expected, is_relevant=True),
            )
        )
    return tuple(found)


def _shown(pictures: LabelledPictures, row: int, *, is_relevant: bool) -> ShownPicture:
    return ShownPicture(pictures.names[row], lambda: pictures.pixels(row), is_relevant)


def _pixels_of(pictures: LabelledPictures) -> Iterator[Pixels]:
    rows = with_progress(range(len(pictures)), len(pictures), f"encoding {pictures.name}", unit="pictures")
    return (pictures.pixels(row) for row in rows)
