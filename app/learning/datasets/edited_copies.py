"""Splits for pictures without kinds: each query is an edited copy, which should find its original."""

from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image

from app.images.decoding import decode_in_process
from app.images.sniff import Limits
from app.learning.datasets.edits import EDITS, edited
from app.learning.datasets.pictures import LabelledPictures, PictureSource
from app.learning.datasets.splits import Split

COPY_RULE: Final = (
    "each query is an edited copy of every tenth picture; relevant is the picture that it was made of"
)
COPY_SEED: Final = "a copy's edit and its window are those of its place among the queries"
ORIGINAL: Final = "the picture that was edited"


@dataclass(frozen=True)
class EditedCopySource:
    """Makes edited copies of pictures on demand, under the names of their originals."""

    originals: PictureSource
    edits: dict[str, tuple[str, int]]
    """Edit and seed, by picture name."""

    def read(self, name: str) -> bytes:
        """The copy as PNG bytes."""
        pixels = decode_in_process(self.originals.read(name), Limits()).pixels
        edit, seed = self.edits[name]
        copy = edited(pixels, edit, seed)
        out = BytesIO()
        Image.fromarray(copy).save(out, "PNG")
        return out.getvalue()


def split_by_copies(pictures: LabelledPictures) -> Split:
    """Make all pictures the gallery, and an edited copy of every tenth one a query.

    The edits take turns. Labels are ignored: each picture gets one of its own.
    """
    names, query_names = pictures.names, pictures.names[::10]
    labels = np.arange(len(names), dtype=np.int64)
    edits = list(EDITS)
    copies = EditedCopySource(
        pictures.source, {name: (edits[i % len(edits)], i) for i, name in enumerate(query_names)}
    )
    gallery = LabelledPictures(pictures.name, names, labels, names, pictures.source)
    queries = LabelledPictures(f"{pictures.name}, edited", query_names, labels[::10], names, copies)
    return Split(gallery, queries, COPY_RULE, COPY_SEED, relevant=ORIGINAL)
