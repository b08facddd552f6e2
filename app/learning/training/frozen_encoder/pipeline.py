"""Build artifacts on a pretrained encoder: extract features, fit hash layers, export, measure, write."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from app.encoding.artifact import Artifact
from app.encoding.preprocess import Preprocessing
from app.learning.datasets.splits import Split
from app.learning.nn.encoders.registry import load_encoder
from app.learning.training.artifacts.onnx_export import export_fp32, quantise
from app.learning.training.artifacts.writing import write_recipe_artifacts
from app.learning.training.features.split_features import FeatureCache, FeatureExtractor, SplitFeatures
from app.learning.training.frozen_encoder.layers import fit_hashing_model
from app.learning.training.monitoring.epochs import EpochObserver, HeldOutSet
from app.learning.training.recipe import ArtifactSpec, Recipe

log = logging.getLogger(__name__)

CALIBRATION_PICTURES: Final = 256
VIEWS: Final = ("crop_50", "mirror", "brightness_1.4")
"""Edits whose copies are given to methods that contrast views of a picture."""


def build_frozen_encoder_artifacts(
    recipe: Recipe,
    split: Split,
    out_dir: Path,
    *,
    observer: EpochObserver | None = None,
    cache: FeatureCache | None = None,
) -> list[Artifact]:
    """Fit on a split's gallery, export, quantise, measure on its queries, and write one folder per artifact.

    Args:
        recipe: A recipe with a pretrained encoder; methods that need labels get the gallery's.
        split: What to learn from and to measure on.
        out_dir: Parent folder of the artifacts.
        observer: Receives the figures of each epoch, if the method has epochs.
        cache: Keeps encoder features for later runs on the same pictures.

    Raises:
        ValueError: There are too few pictures for the code length.
        app.domain.errors.ArtifactRefused: A written artifact fails its own verification.
    """
    how, longest = recipe.preprocessing, max(spec.bits for spec in recipe.specs)
    pictures = split.training_pictures
    if len(pictures) <= longest:
        raise ValueError(f"{longest} bits need more than {longest} pictures to learn from, not {len(pictures)}")
    encoder = load_encoder(recipe.encoder, how.input_size)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        calibration = _calibration_pictures(split, how)
        trunk = _export(encoder, how, ["features"], folder / "trunk", calibration)
        extractors = {
            "int8": FeatureExtractor(trunk.int8, how, cache),
            "fp32": FeatureExtractor(trunk.fp32, how, cache),
        }
        # The layers are fitted to the features of the encoder that serves, quantised as it is.
        order = ("int8", "fp32") if recipe.quantise else ("fp32", "int8")
        log.info("encoding %d pictures with the %s and the %s encoder", len(pictures), *order)
        features = {precision: SplitFeatures.of(extractors[precision], split) for precision in order}
        serving, extractor = features[order[0]], extractors[order[0]]
        held_out = HeldOutSet(serving.gallery, serving.queries, split.gallery.labels, split.queries.labels)
        model = fit_hashing_model(
            recipe,
            encoder,
            _training_features(serving, extractor, split),
            pictures.labels,
            _view_features(recipe, extractor, split),
            observer=observer,
            held_out=held_out,
        )
        whole = _export(model, how, model.output_names, folder / "model", calibration)
        graph = getattr(whole, order[0])
        return write_recipe_artifacts(
            recipe, model, split, graph, features, out_dir, lambda spec: _method_record(recipe, spec)
        )


def _training_features(
    serving: SplitFeatures, extractor: FeatureExtractor, split: Split
) -> NDArray[np.float32]:
    """Features of ``split.training_pictures``, shape (n, d)."""
    if split.unlabelled is None:
        return serving.gallery
    return np.concatenate([serving.gallery, extractor.extract(split.unlabelled)])


def _view_features(recipe: Recipe, extractor: FeatureExtractor, split: Split) -> NDArray[np.float32] | None:
    """Features of edited copies of the training pictures, shape (v, n, d), if a method learns from them."""
    if not any(spec.method.needs_views for spec in recipe.specs if spec.method):
        return None
    pictures = split.training_pictures
    log.info("encoding %d edited copies", len(VIEWS) * len(pictures))
    return np.stack([extractor.extract_edited(pictures, edit) for edit in VIEWS])


@dataclass(frozen=True, slots=True)
class _ExportedGraphs:
    fp32: Path
    int8: Path


def _export(
    module: nn.Module, how: Preprocessing, outputs: list[str], stem: Path, calibration: NDArray[np.uint8]
) -> _ExportedGraphs:
    paths = _ExportedGraphs(stem.with_suffix(".fp32.onnx"), stem.with_suffix(".int8.onnx"))
    export_fp32(module, how.input_size, outputs, paths.fp32)
    quantise(paths.fp32, paths.int8, (calibration[i : i + 1] for i in range(len(calibration))))
    return paths


def _calibration_pictures(split: Split, how: Preprocessing) -> NDArray[np.uint8]:
    """Evenly spaced training pictures, prepared, whose activation ranges set the int8 scales."""
    pictures = split.training_pictures
    rows = np.linspace(0, len(pictures) - 1, min(CALIBRATION_PICTURES, len(pictures))).astype(np.int64)
    return np.concatenate(list(pictures.subset(rows).prepared(how)))


def _method_record(recipe: Recipe, spec: ArtifactSpec) -> dict[str, Any]:
    if spec.method is None:
        raise ValueError(f"{spec.name} has no hash method to fit behind a frozen encoder")
    return {
        "method": spec.method.name,
        "source": spec.method.source,
        "settings": spec.method.settings(),
        "prepared_dim": recipe.prepared_dim,
        "whiten": recipe.whiten,
        **({"wordnet": recipe.wordnet} if recipe.wordnet else {}),
        "descriptor_whiten": recipe.descriptor_whiten,
        "labels_used": spec.method.needs_labels,
    }
