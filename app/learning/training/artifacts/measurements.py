"""Retrieval figures and distance calibration of a model, measured on the held-out queries of a split."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.learning.datasets.edits import EDITS
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import Split
from app.learning.evaluation.calibration import pair_distances, quantiles
from app.learning.evaluation.metrics import figures, rank_codes, rank_features
from app.learning.evaluation.protocol import Protocol
from app.learning.nn.model import HashingModel
from app.learning.training.artifacts.comparison import copied_pictures
from app.learning.training.artifacts.outputs import OutputSource
from app.learning.training.features.split_features import SplitFeatures
from app.learning.training.monitoring.progress_bar import with_progress
from app.learning.training.recipe import ArtifactSpec


def measure_codes(
    spec: ArtifactSpec, model: HashingModel, split: Split, by_precision: dict[str, SplitFeatures], *, seed: int
) -> list[dict[str, Any]]:
    """Measure codes and the float features behind them, for each precision of the encoder.

    Args:
        spec: The artifact whose codes are measured.
        model: The fitted model.
        split: Gallery and held-out queries.
        by_precision: Features of the encoder in each precision, ``{"int8": …, "fp32": …}``.
        seed: Training seed, for the protocol.
    """
    protocol = Protocol.of(split, training_seed=seed).as_dict()
    labels = split.queries.labels, split.gallery.labels
    rows = []
    for precision, features in by_precision.items():
        queries, gallery = features.codes(model, spec)
        unit_q, unit_g = (
            f / np.linalg.norm(f, axis=1, keepdims=True) for f in (features.queries, features.gallery)
        )
        rankings = {
            "hamming": rank_codes(queries, labels[0], gallery, labels[1], spec.bits),
            "float features, cosine": rank_features(unit_q, labels[0], unit_g, labels[1]),
        }
        for ranking, ranked in rankings.items():
            measured = figures(ranked).as_dict()
            rows.append({"encoder": precision, "ranking": ranking, **measured, "protocol": protocol})
    return rows


def compare_precisions(
    spec: ArtifactSpec, model: HashingModel, int8: SplitFeatures, fp32: SplitFeatures
) -> dict[str, float]:
    """Count the bits of the queries' codes that change when the encoder is quantised."""
    (a, _), (b, _) = int8.codes(model, spec), fp32.codes(model, spec)
    differing = np.bitwise_count(a ^ b).sum(axis=1)
    return {
        "mean_differing_bits": round(float(differing.mean()), 2),
        "most_differing_bits": int(differing.max()),
    }


def calibrate_distances(
    spec: ArtifactSpec,
    model: HashingModel,
    split: Split,
    features: SplitFeatures,
    source: OutputSource,
    *,
    most_copied: int,
) -> dict[str, Any]:
    """Compute quantiles of the distances between copies, within a kind, and between unrelated pictures.

    A sort of pairs that the split does not have is left out.

    Args:
        spec: The artifact whose codes are measured.
        model: The fitted model.
        split: Gallery and held-out queries.
        features: Features from the encoder that will serve.
        source: Encodes edited copies under the model.
        most_copied: Largest number of pictures that are edited.
    """
    queries, gallery = features.codes(model, spec)
    alike, unlike = pair_distances(queries, split.queries.labels, gallery, split.gallery.labels)
    copies = _copy_distances(source, copied_pictures(split, most_copied))
    every = np.concatenate(list(copies.values()))
    return {
        "collection": split.gallery.name,
        "quantiles": quantiles({"copies": every, "same_kind": alike, "unrelated": unlike}),
        "copies_by_edit": quantiles(copies),
    }


def _copy_distances(source: OutputSource, pictures: LabelledPictures) -> dict[str, NDArray[np.int64]]:
    originals = source.outputs(pictures).codes
    distances = {}
    for edit in with_progress(EDITS, len(EDITS), "measuring edited copies", unit="edits"):
        copies = source.outputs(pictures, edit).codes
        distances[edit] = np.bitwise_count(originals ^ copies).sum(axis=1, dtype=np.int64)
    return distances
