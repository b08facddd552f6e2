"""Measure a trained model and write its artifacts: graph, weights, canary, manifest, model card."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
import torch
from safetensors.torch import save

from app.encoding.artifact import Artifact, write_artifact
from app.encoding.encoder import OnnxEncoder
from app.encoding.manifest import (
    ENCODER,
    FORMAT,
    ArtifactManifest,
    DescriptorSpec,
    PreprocessingSpec,
)
from app.learning.datasets.splits import Split
from app.learning.nn.model import HashingModel
from app.learning.training.artifacts.canary import compute_canary
from app.learning.training.artifacts.card import model_card
from app.learning.training.artifacts.class_weights import model_class_weights
from app.learning.training.artifacts.comparison import MAX_COPIED, compare_models
from app.learning.training.artifacts.measurements import calibrate_distances, compare_precisions, measure_codes
from app.learning.training.artifacts.outputs import ArtifactOutputs, Describe, LayerOutputs
from app.learning.training.features.extraction import apply_module
from app.learning.training.features.split_features import FeatureCache, FeatureExtractor, SplitFeatures
from app.learning.training.recipe import RECIPES, ArtifactSpec, Recipe

LICENCE: Final = "Apache-2.0"
COPIED_PICTURES: Final = 300
"""Largest number of pictures that are edited to calibrate a shipped model."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A trained model, and what it was measured with."""

    model: HashingModel
    graph: Path
    """The exported model."""
    features: dict[str, SplitFeatures]
    """Encoder features by precision; those of the serving encoder first."""
    extractor: FeatureExtractor
    """Computes features of the serving encoder."""
    shipped: Artifact | None = None
    """The shipped model whose encoder and descriptor this one has, if any."""


@dataclass(frozen=True, slots=True)
class InUse:
    """The model that a new one is compared with."""

    artifact: Artifact
    folder: Path
    """For temporary files."""
    cache: FeatureCache

    def outputs(self) -> ArtifactOutputs:
        """Open the model."""
        return ArtifactOutputs(self.artifact, self.folder, self.cache)


def write_recipe_artifacts(
    recipe: Recipe,
    trained: TrainedModel,
    split: Split,
    out_dir: Path,
    describe_method: Callable[[ArtifactSpec], dict[str, Any]],
    *,
    in_use: InUse | None = None,
) -> list[Artifact]:
    """Measure and write every artifact of a recipe; a figure that cannot be computed is left out.

    Args:
        recipe: What the model was trained by.
        trained: The trained model.
        split: What it was trained and is measured on.
        out_dir: Parent folder of the artifacts.
        describe_method: The entries of ``training`` in model.json that say how a hash layer was trained.
        in_use: The model to compare with, if any.

    Raises:
        app.domain.errors.ArtifactRefused: A written artifact fails its own verification.
    """
    model, features = trained.model, trained.features
    how, serving = recipe.preprocessing, next(iter(features.values()))
    most_copied = COPIED_PICTURES if _is_shipped(recipe) else MAX_COPIED
    written = []
    for spec in recipe.specs:
        source = LayerOutputs(trained.extractor, model, spec.output, _describe(trained, in_use))
        calibration: dict[str, Any] = {}
        with _left_out_on_failure("distance calibration"):
            calibration |= calibrate_distances(spec, model, split, serving, source, most_copied=most_copied)
        if in_use is not None:
            with _left_out_on_failure(f"comparison with {in_use.artifact.name}"):
                old = in_use.artifact
                calibration["comparison"] = compare_models(
                    source, in_use.outputs(), split, old_name=old.name, old_digest=old.digest
                )
        if len(features) > 1:
            int8, fp32 = features["int8"], features["fp32"]
            calibration["int8_against_fp32"] = compare_precisions(spec, model, int8, fp32)
        metrics: list[dict[str, Any]] = []
        with _left_out_on_failure("retrieval figures"):
            metrics += measure_codes(spec, model, split, features, seed=recipe.seed)
        training = {**describe_method(spec), **_training_record(recipe, split)}
        manifest = _manifest(recipe, spec, trained, training).model_copy(
            update={"metrics": metrics, "calibration": calibration}
        )
        artifact = write_artifact(
            out_dir,
            manifest,
            encoder=trained.graph if spec is recipe.specs[0] else None,
            weights=_trained_weights(model, spec),
            canary=compute_canary(trained.graph, spec.output, how),
            class_weights=model_class_weights(model, spec.output, serving.gallery),
            extra={"README.md": model_card(manifest, shipped=_is_shipped(recipe))},
        )
        OnnxEncoder(artifact)
        if metrics:
            log.info("%s: mAP %.3f on %s", artifact.name, metrics[0]["map_all"], split.queries.name)
        written.append(artifact)
    return written


@contextmanager
def _left_out_on_failure(what: str) -> Iterator[None]:
    """Let a model that took hours to train be written without a figure that cannot be computed."""
    try:
        yield
    except (ArithmeticError, LookupError, ValueError) as error:
        log.warning("the model is written without its %s, which could not be computed: %s", what, error)


def _manifest(
    recipe: Recipe, spec: ArtifactSpec, trained: TrainedModel, training: dict[str, Any]
) -> ArtifactManifest:
    first, pretrained = recipe.specs[0], trained.model.encoder.pretrained
    if trained.shipped is not None:
        training |= {"descriptor_of": {"name": trained.shipped.name, "digest": trained.shipped.digest}}
    return ArtifactManifest(
        format=FORMAT,
        name=spec.name,
        bits=spec.bits,
        summary=spec.summary,
        preprocessing=PreprocessingSpec.of(recipe.preprocessing),
        encoder=ENCODER if spec is first else f"../{first.name}/{ENCODER}",
        y_output=spec.output,
        descriptor=_descriptor_spec(trained),
        licence=LICENCE,
        pretrained=[pretrained] if pretrained else [],
        training=training,
        metrics=[],
        calibration={},
    )


def _descriptor_spec(trained: TrainedModel) -> DescriptorSpec | None:
    if trained.shipped is not None:
        return trained.shipped.manifest.descriptor
    descriptor = trained.model.descriptor
    return DescriptorSpec(dim=descriptor.dim, scale=descriptor.scale) if descriptor else None


def _describe(trained: TrainedModel, in_use: InUse | None) -> Describe | None:
    """Return what computes descriptors from features; None if the model has none, or nothing is compared."""
    if in_use is None:
        return None
    if trained.shipped is not None:
        return ArtifactOutputs(trained.shipped, in_use.folder, in_use.cache).describe
    descriptor = trained.model.descriptor
    if descriptor is None:
        return None
    return lambda features: apply_module(descriptor, features).astype(np.int8)


def _training_record(recipe: Recipe, split: Split) -> dict[str, Any]:
    return {
        "encoder": recipe.encoder,
        "seed": recipe.seed,
        "data": _training_data(split),
        "precision": recipe.precision,
        "runtime": {"onnxruntime": ort.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }


def _training_data(split: Split) -> list[dict[str, Any]]:
    """The training collections; the gallery's checksum is in the protocol."""
    gallery: dict[str, Any] = {
        "collection": split.gallery.name,
        "part": "gallery",
        "pictures": len(split.gallery),
    }
    if split.unlabelled is None:
        return [gallery]
    more = split.unlabelled
    checksum = more.checksum()
    return [gallery, {"collection": more.name, "part": "unlabelled", "pictures": len(more), "sha256": checksum}]


def _is_shipped(recipe: Recipe) -> bool:
    return any(recipe.specs is shipped.specs for shipped in RECIPES.values())


def _trained_weights(model: HashingModel, spec: ArtifactSpec) -> bytes:
    """Weights that were trained here; those of a pretrained encoder are recorded by package and SHA-256."""
    kept: Iterable[str] = ("preparation.", f"hash_layers.{spec.output}.", "descriptor.")
    if model.encoder.pretrained is None:
        kept = (*kept, "encoder.")
    state = model.state_dict()
    return save({key: value.contiguous() for key, value in state.items() if key.startswith(tuple(kept))})
