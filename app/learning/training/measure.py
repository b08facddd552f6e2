"""Figures and distance calibration of a model that is being built, on its held-out queries."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import pack_signs
from app.encoding.preprocess import Preprocessing, prepare
from app.learning.datasets.edits import EDITS, edited
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import Split
from app.learning.evaluation.calibration import pair_distances, quantiles
from app.learning.evaluation.metrics import figures, rank_codes, rank_features
from app.learning.evaluation.protocol import Protocol
from app.learning.nn.model import HashingModel
from app.learning.training.features import apply, extract
from app.learning.training.progress import shown
from app.learning.training.recipe import Sibling

COPIED_PICTURES: Final = 300
BATCH: Final = 32

Codes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Features:
    """Encoder outputs for both parts of a split, (n, d) and (q, d) float32."""

    gallery: NDArray[np.float32]
    queries: NDArray[np.float32]

    @classmethod
    def of(cls, graph: Path, split: Split, how: Preprocessing) -> "Features":
        """The first output of an ONNX graph for both parts."""
        gallery, queries = (
            extract(graph, prepared(part, how))[0].astype(np.float32) for part in (split.gallery, split.queries)
        )
        return cls(gallery, queries)

    def codes(self, model: HashingModel, sibling: Sibling) -> tuple[Codes, Codes]:
        """Codes of queries and gallery."""
        layer = model.hash_layers[sibling.output]
        queries, gallery = (
            pack_signs(apply(layer, apply(model.preparation, part))) for part in (self.queries, self.gallery)
        )
        return queries, gallery


def measure(
    sibling: Sibling, model: HashingModel, split: Split, by_precision: dict[str, Features], *, seed: int
) -> list[dict[str, Any]]:
    """Figures by encoder precision, of the codes and of the float features they stand for.

    Args:
        sibling: Whose codes.
        model: The fitted model.
        split: Gallery and held-out queries.
        by_precision: Features of the encoder in each precision, ``{"int8": …, "fp32": …}``.
        seed: Of the training, for the protocol.
    """
    protocol = Protocol.of(split, training_seed=seed).as_dict()
    labels = split.queries.labels, split.gallery.labels
    found = []
    for precision, features in by_precision.items():
        queries, gallery = features.codes(model, sibling)
        unit_q, unit_g = (
            f / np.linalg.norm(f, axis=1, keepdims=True) for f in (features.queries, features.gallery)
        )
        rankings = {
            "hamming": rank_codes(queries, labels[0], gallery, labels[1], sibling.bits),
            "float features, cosine": rank_features(unit_q, labels[0], unit_g, labels[1]),
        }
        for ranking, ranked in rankings.items():
            measured = figures(ranked).as_dict()
            found.append({"encoder": precision, "ranking": ranking, **measured, "protocol": protocol})
    return found


def precision_difference(
    sibling: Sibling, model: HashingModel, int8: Features, fp32: Features
) -> dict[str, float]:
    """Bits of a code that quantising the encoder changes, over the queries."""
    (a, _), (b, _) = int8.codes(model, sibling), fp32.codes(model, sibling)
    differing = np.bitwise_count(a ^ b).sum(axis=1)
    return {
        "mean_differing_bits": round(float(differing.mean()), 2),
        "most_differing_bits": int(differing.max()),
    }


def calibrate(
    sibling: Sibling, model: HashingModel, split: Split, features: Features, graph: Path, how: Preprocessing
) -> dict[str, Any]:
    """Quantiles of distances of copies, of one kind, of unrelated pictures.

    Args:
        sibling: Whose codes.
        model: The fitted model.
        split: Gallery and held-out queries.
        features: Of the encoder that serves.
        graph: The exported model, by which copies are encoded.
        how: Its preprocessing.
    """
    queries, gallery = features.codes(model, sibling)
    alike, unlike = pair_distances(queries, split.queries.labels, gallery, split.gallery.labels)
    copies = _copy_distances(model.output_names.index(sibling.output), graph, split.queries, how)
    every = np.concatenate(list(copies.values()))
    return {
        "collection": split.gallery.name,
        "quantiles": quantiles({"copies": every, "same_kind": alike, "unrelated": unlike}),
        "copies_by_edit": quantiles(copies),
    }


def prepared(pictures: LabelledPictures, how: Preprocessing) -> Iterable[NDArray[np.uint8]]:
    """All pictures as batches of encoder inputs, with a progress bar."""
    count = math.ceil(len(pictures) / BATCH)
    return shown(pictures.prepared(how, BATCH), count, f"encoding {pictures.name}")


def edited_batches(pictures: LabelledPictures, edit: str, how: Preprocessing) -> Iterator[NDArray[np.uint8]]:
    """An edited copy of each picture, prepared, as batches of one."""
    for i in range(len(pictures)):
        yield prepare(edited(pictures.pixels(i), edit, i), how)[np.newaxis]


def _copy_distances(
    output: int, graph: Path, pictures: LabelledPictures, how: Preprocessing
) -> dict[str, NDArray[np.int64]]:
    rows = np.linspace(0, len(pictures) - 1, min(COPIED_PICTURES, len(pictures))).astype(np.int64)
    some = pictures.subset(rows)
    originals = pack_signs(extract(graph, some.prepared(how))[output].astype(np.float32))
    distances = {}
    for edit in EDITS:
        copies = pack_signs(extract(graph, edited_batches(some, edit, how))[output].astype(np.float32))
        distances[edit] = np.bitwise_count(originals ^ copies).sum(axis=1, dtype=np.int64)
    return distances
