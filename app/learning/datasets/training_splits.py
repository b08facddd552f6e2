"""Choose how a user's own pictures are split for training and measuring."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from app.learning.datasets.caltech101 import split_caltech101
from app.learning.datasets.cifar10 import split_cifar10
from app.learning.datasets.edited_copies import split_by_copies
from app.learning.datasets.folder import UNLABELLED, load_pictures
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import Split, has_two_kinds, split_every_tenth

MIN_STORED_PICTURES: Final = 20
MIN_LABELLED: Final = 20
"""Number of labelled pictures from which on figures of kinds say more than figures of edited copies."""


@dataclass(frozen=True)
class StoredSource:
    """Pictures by id, read by a function."""

    read_bytes: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        """The encoded bytes of one picture."""
        return self.read_bytes(name)


def split_own_pictures(pictures: LabelledPictures, *, partial_labels: bool = True) -> Split:
    """Hold out pictures of each kind if there are two usable kinds, otherwise edited copies.

    Args:
        pictures: Pictures with or without labels.
        partial_labels: Whether to use the labels even if fewer than 20 pictures have one.
    """
    labelled = int((pictures.labels >= 0).sum())
    are_enough = labelled == len(pictures) or labelled >= MIN_LABELLED
    if has_two_kinds(pictures) and (are_enough or partial_labels):
        return split_every_tenth(pictures)
    return split_by_copies(pictures)


def split_source(source: str, data_dir: Path, unlabelled: str = UNLABELLED) -> Split:
    """Split a data set, or a folder or zip of pictures.

    Args:
        source: ``caltech101``, ``cifar10``, or the path of a folder or zip.
        data_dir: Folder that contains the data sets.
        unlabelled: Name of a folder in the source that holds pictures of unknown kind.

    Raises:
        FileNotFoundError: There are no pictures.
        ValueError: The path is neither a folder nor a zip.
    """
    if source == "caltech101":
        return split_caltech101(data_dir)
    if source == "cifar10":
        return split_cifar10(data_dir)
    return split_own_pictures(load_pictures(Path(source), unlabelled=unlabelled))


def split_stored_pictures(
    name: str,
    pictures: Sequence[tuple[str, str | None]],
    read: Callable[[str], bytes],
    *,
    partial_labels: bool = False,
) -> Split:
    """Split a collection of the service.

    Args:
        name: Name of the collection in protocols.
        pictures: (id, label) of each picture; the label is None if there is none.
        read: Returns the bytes of a picture by id.
        partial_labels: Whether to use the labels even if fewer than 20 pictures have one.

    Raises:
        ValueError: There are fewer than 20 pictures.
    """
    if len(pictures) < MIN_STORED_PICTURES:
        raise ValueError(f"training needs at least {MIN_STORED_PICTURES} pictures; there are {len(pictures)}")
    return split_own_pictures(_stored_pictures(name, pictures, read), partial_labels=partial_labels)


def split_by_labels(
    name: str, pictures: Sequence[tuple[str, str | None]], read: Callable[[str], bytes]
) -> Split:
    """Split a collection of the service by kind: every tenth picture, by id, is a query.

    Args:
        name: Name of the collection in protocols.
        pictures: (id, label) of each picture; those without a label go to ``Split.unlabelled``.
        read: Returns the bytes of a picture by id.

    Raises:
        ValueError: Some pictures have no label, and fewer than two kinds have two labelled pictures.
    """
    return split_every_tenth(_stored_pictures(name, pictures, read))


def validation_split(split: Split) -> Split:
    """Split the gallery once more, to choose settings without looking at the queries."""
    inner = split_every_tenth(split.gallery) if split.has_kinds else split_by_copies(split.gallery)
    return replace(inner, rule=f"within the gallery: {inner.rule}")


def _stored_pictures(
    name: str, pictures: Sequence[tuple[str, str | None]], read: Callable[[str], bytes]
) -> LabelledPictures:
    label_of = dict(pictures)
    names = tuple(sorted(label_of))
    kinds = [label_of[image_id] for image_id in names]
    return LabelledPictures.from_kinds(name, names, kinds, StoredSource(read))
