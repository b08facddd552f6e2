"""Fixed splits into gallery and queries, so that figures can be compared between runs and machines."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.learning.datasets.pictures import LabelledPictures

NOTHING_DRAWN: Final = "nothing is drawn"
"""Recorded in place of a seed where nothing is random."""
SAME_KIND: Final = "same kind"


@dataclass(frozen=True, slots=True)
class Split:
    """A gallery, queries, and the rule that separates them."""

    gallery: LabelledPictures
    queries: LabelledPictures
    rule: str
    seed: int | str = NOTHING_DRAWN
    """Seed of the rule, or a sentence on its replacement."""
    unlabelled: LabelledPictures | None = None
    """Training pictures of unknown kind (−1), on which nothing is measured."""
    relevant: str = SAME_KIND
    """Which gallery pictures a query should find."""

    @property
    def has_kinds(self) -> bool:
        """Whether labels are kinds; otherwise each picture has a label of its own."""
        return self.relevant == SAME_KIND

    @property
    def training_pictures(self) -> LabelledPictures:
        """All pictures to learn from: the gallery, followed by the unlabelled pictures."""
        return self.gallery if self.unlabelled is None else self.gallery.followed_by(self.unlabelled)

    def overlap(self) -> int:
        """Number of queries whose bytes are identical to a gallery picture's."""
        known = set(self.gallery.sha256s())
        return sum(sha256 in known for sha256 in self.queries.sha256s())


def split_every_tenth(pictures: LabelledPictures) -> Split:
    """Make every tenth picture of each kind a query, by name and from the first; the rest is the gallery.

    Args:
        pictures: Pictures without a label (−1) go to ``Split.unlabelled``.

    Raises:
        ValueError: Some pictures have no label, and fewer than two kinds have two labelled pictures.
    """
    is_query, is_labelled = _every_tenth_of_each_kind(pictures.labels), pictures.labels >= 0
    split = Split(
        pictures.subset(np.flatnonzero(is_labelled & ~is_query)),
        pictures.subset(np.flatnonzero(is_query)),
        "per kind, by name, every tenth from the first is a query, the rest the gallery",
    )
    if is_labelled.all():
        return split
    if not has_two_kinds(pictures):
        raise ValueError(
            "some pictures have no label: at least two kinds must then have two labelled pictures each"
        )
    rule = f"{split.rule}; pictures without a label are learned from, not measured on"
    return replace(split, rule=rule, unlabelled=pictures.subset(np.flatnonzero(~is_labelled)))


def has_two_kinds(pictures: LabelledPictures) -> bool:
    """Whether two kinds have at least two pictures, one for the queries and one for the gallery."""
    _, counts = np.unique(pictures.labels[pictures.labels >= 0], return_counts=True)
    return int((counts >= 2).sum()) >= 2


def first_of_each_kind(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Rows of the first ``count`` pictures of each kind, in ascending order."""
    rows = [np.flatnonzero(labels == kind)[:count] for kind in np.unique(labels)]
    return np.sort(np.concatenate(rows))


def _every_tenth_of_each_kind(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    is_query = np.zeros(len(labels), dtype=np.bool_)
    for kind in np.unique(labels[labels >= 0]):
        is_query[np.flatnonzero(labels == kind)[::10]] = True
    return is_query
