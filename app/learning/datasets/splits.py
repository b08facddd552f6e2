"""Fixed splits into gallery and queries, so that figures can be compared between runs and machines."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.learning.datasets.pictures import LabelledPictures

NOTHING_DRAWN: Final = "nothing is drawn"
"""What stands for the seed of something without chance."""


@dataclass(frozen=True, slots=True)
class Split:
    """What is searched in, what is searched with, and the rule that parted them."""

    gallery: LabelledPictures
    queries: LabelledPictures
    rule: str
    seed: int | str = NOTHING_DRAWN
    """Of the rule, or in words what decides in its stead."""
    unlabelled: LabelledPictures | None = None
    """Pictures to learn from whose kind is not known (−1); nothing is measured on them."""

    @property
    def learned(self) -> LabelledPictures:
        """What is learned from: the gallery, and after it the unlabelled pictures."""
        return self.gallery if self.unlabelled is None else self.gallery.followed_by(self.unlabelled)

    def overlap(self) -> int:
        """Number of queries whose very bytes are also in the gallery."""
        known = set(self.gallery.sha256s())
        return sum(sha256 in known for sha256 in self.queries.sha256s())


def split_every_tenth(pictures: LabelledPictures) -> Split:
    """Of each kind, by name, every tenth picture from the first is a query and the rest the gallery.

    Args:
        pictures: Those without a label (−1) are neither: they are only learned from.

    Raises:
        ValueError: Some pictures have no label, and those that have are of fewer than two kinds.
    """
    is_query, is_labelled = _every_tenth_of_each_kind(pictures.labels), pictures.labels >= 0
    split = Split(
        pictures.subset(np.flatnonzero(is_labelled & ~is_query)),
        pictures.subset(np.flatnonzero(is_query)),
        "per kind, by name, every tenth from the first is a query, the rest the gallery",
    )
    if is_labelled.all():
        return split
    if len(np.unique(split.gallery.labels)) < 2:
        raise ValueError(
            "where some pictures have no label, two kinds at least need two pictures that have one"
        )
    rule = f"{split.rule}; pictures without a label are learned from, not measured on"
    return replace(split, rule=rule, unlabelled=pictures.subset(np.flatnonzero(~is_labelled)))


def validation_split(gallery: LabelledPictures) -> Split:
    """Part a gallery once more, to choose settings without looking at the queries."""
    split = split_every_tenth(gallery)
    return replace(split, rule=f"within the gallery: {split.rule}")


def first_of_each_kind(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Rows of the first ``count`` of each kind, ascending; the order of ``labels`` is that of the names."""
    rows = [np.flatnonzero(labels == kind)[:count] for kind in np.unique(labels)]
    return np.sort(np.concatenate(rows))


def _every_tenth_of_each_kind(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    is_query = np.zeros(len(labels), dtype=np.bool_)
    for kind in np.unique(labels[labels >= 0]):
        is_query[np.flatnonzero(labels == kind)[::10]] = True
    return is_query
