"""A service's own pictures as a split: by their labels where all have one, else by edited copies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from app.images.decoding import decode_in_process
from app.images.sniff import Limits
from app.learning.datasets.edits import EDITS, edited
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import Split, split_every_tenth

COPY_RULE = "each query is an edited copy of every tenth picture; relevant is the picture that it was made of"
COPY_SEED = "a copy's edit and its window are those of its place among the queries"


@dataclass(frozen=True)
class StoredSource:
    """Pictures by id, read through whatever keeps them."""

    read_bytes: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        """The encoded bytes of one picture."""
        return self.read_bytes(name)


@dataclass(frozen=True)
class CopySource:
    """Edited copies of pictures, made when they are asked for; names are those of the originals."""

    originals: StoredSource
    edits: dict[str, tuple[str, int]]

    def read(self, name: str) -> bytes:
        """The bytes of a copy, as a PNG."""
        pixels = decode_in_process(self.originals.read(name), Limits()).pixels
        edit, seed = self.edits[name]
        copy = edited(pixels, edit, seed)
        out = BytesIO()
        Image.fromarray(copy).save(out, "PNG")
        return out.getvalue()


def split_stored(
    name: str,
    pictures: Sequence[tuple[str, str | None]],
    read: Callable[[str], bytes],
    *,
    some_labels_do: bool = False,
) -> Split:
    """Part a collection into what is learned from and what is measured on.

    Args:
        name: What protocols call the collection.
        pictures: (id, label) of each; the label None where there is none.
        read: The bytes of a picture by id.
        some_labels_do: Whether labels count though some pictures have none.

    Raises:
        ValueError: There are too few pictures.
    """
    if len(pictures) < 20:
        raise ValueError(f"a model is learned from at least 20 pictures, not from {len(pictures)}")
    labels = [label for _, label in pictures]
    if len({*labels} - {None}) < 2 or (None in labels and not some_labels_do):
        return _split_by_copies(name, sorted(image_id for image_id, _ in pictures), StoredSource(read))
    return split_by_labels(name, pictures, read)


def split_by_labels(
    name: str, pictures: Sequence[tuple[str, str | None]], read: Callable[[str], bytes]
) -> Split:
    """Every tenth picture of each kind, by id, is a query; the rest is the gallery.

    Args:
        name: What protocols call the collection.
        pictures: (id, label) of each; those whose label is None are only learned from.
        read: The bytes of a picture by id.

    Raises:
        ValueError: Some have no label, and those that have are of fewer than two kinds.
    """
    label_of = dict(pictures)
    names = tuple(sorted(label_of))
    kinds = [label_of[image_id] for image_id in names]
    return split_every_tenth(LabelledPictures.from_kinds(name, names, kinds, StoredSource(read)))


def _split_by_copies(name: str, ids: Sequence[str], source: StoredSource) -> Split:
    gallery = LabelledPictures(name, tuple(ids), np.arange(len(ids), dtype=np.int64), tuple(ids), source)
    asked = tuple(ids[::10])
    names = list(EDITS)
    copies = CopySource(source, {image_id: (names[i % len(names)], i) for i, image_id in enumerate(asked)})
    queries = LabelledPictures(f"{name}, edited", asked, gallery.labels[::10], tuple(ids), copies)
    return Split(gallery, queries, COPY_RULE, COPY_SEED)
