"""Measure a hash method on features computed elsewhere, by any encoder."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.learning.datasets.precomputed import PrecomputedFeatures, load_precomputed
from app.learning.evaluation.protocol import Protocol
from app.learning.evaluation.retrieval import Labels, evaluate_codes, evaluate_features
from app.learning.nn.preparation import FeaturePreparation
from app.learning.training.features.extraction import apply_module
from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.registry import hash_method

PREPARED_DIM = 256


def evaluate_precomputed(folder: Path, method: str, bits: int, seed: int = 0) -> dict[str, Any]:
    """Fit a method to the gallery features of a folder; measure its codes and the float features.

    Args:
        folder: See ``load_precomputed``.
        method: A key of ``METHODS``; it gets the gallery's labels if it needs labels.
        bits: Code length.
        seed: Seed of the method.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The files do not match, or there is no such method.
    """
    fitted, given = hash_method(method), load_precomputed(folder)
    labels = Labels(given.query_labels, given.gallery_labels)
    dim = min(PREPARED_DIM, given.gallery.shape[1], len(given.gallery) - 1)
    preparation = FeaturePreparation.fit(given.gallery, dim, whiten=0.0)
    queries, gallery = apply_module(preparation, given.queries), apply_module(preparation, given.gallery)
    known = given.gallery_labels if fitted.needs_labels else None
    layer = fitted.fit(TrainingSet(gallery, known), bits, seed)
    return {
        "features": folder.name,
        "method": fitted.name,
        "settings": fitted.settings(),
        "code_length": bits,
        "seed": seed,
        "codes": evaluate_codes(apply_module(layer, queries), apply_module(layer, gallery), labels).as_dict(),
        "float_features": evaluate_features(given.queries, given.gallery, labels).as_dict(),
        "protocol": _protocol(folder.name, given, seed).as_dict(),
    }


def _protocol(name: str, given: PrecomputedFeatures, seed: int) -> Protocol:
    known = {row.tobytes() for row in given.gallery}
    return Protocol(
        collection=name,
        split="gallery and queries as the folder has them",
        gallery=len(given.gallery),
        queries=len(given.queries),
        gallery_sha256=_sha256(given.gallery, given.gallery_labels),
        queries_sha256=_sha256(given.queries, given.query_labels),
        queries_in_gallery=sum(row.tobytes() in known for row in given.queries),
        training_seed=seed,
    )


def _sha256(features: NDArray[np.float32], labels: NDArray[np.int64]) -> str:
    """SHA-256 of features and labels in little-endian order."""
    digest = hashlib.sha256(features.astype("<f4").tobytes())
    digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()
