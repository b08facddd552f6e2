"""Build artifacts on a pretrained encoder: compute features, fit hash layers, export, measure, write."""

import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.encoding.artifact import Artifact
from app.learning.datasets.splits import Split
from app.learning.training.artifacts.writing import InUse, TrainedModel, write_recipe_artifacts
from app.learning.training.features.split_features import FeatureCache, FeatureExtractor, SplitFeatures
from app.learning.training.frozen_encoder.layers import fit_hashing_model
from app.learning.training.frozen_encoder.trunks import open_trunk
from app.learning.training.monitoring.epochs import EpochObserver, HeldOutSet
from app.learning.training.recipe import ArtifactSpec, Recipe

log = logging.getLogger(__name__)

VIEWS: Final = ("crop_50", "mirror", "brightness_1.4")
"""Edits whose copies are given to methods that contrast views of a picture."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Options of a build that do not change the hash layers."""

    checkpoint: Path | None = None
    """File from which a method with epochs resumes; deleted once the artifacts are written."""
    observer: EpochObserver | None = None
    """Receives the figures of each epoch, if the method has epochs."""
    cache: FeatureCache | None = None
    """Keeps encoder features for later runs on the same pictures."""
    shipped_dir: Path | None = None
    """Folder of shipped models, one of which may lend its encoder and descriptor."""
    in_use: Artifact | None = None
    """The model to compare with."""


def build_frozen_encoder_artifacts(
    recipe: Recipe, split: Split, out_dir: Path, options: BuildOptions | None = None
) -> list[Artifact]:
    """Fit on a split's gallery, export, measure on its queries, and write one folder per artifact.

    Args:
        recipe: A recipe with a pretrained encoder; methods that need labels get the gallery's.
        split: What to learn from and to measure on.
        out_dir: Parent folder of the artifacts.
        options: Checkpoint, observer, cache, shipped models.

    Raises:
        ValueError: There are too few pictures for the code length.
        app.domain.errors.ArtifactRefused: A written artifact fails its own verification.
    """
    options = options or BuildOptions()
    longest, pictures = max(spec.bits for spec in recipe.specs), split.training_pictures
    if len(pictures) <= longest:
        raise ValueError(f"{longest} bits need more than {longest} pictures to learn from, not {len(pictures)}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cache = options.cache or FeatureCache(folder / "features")
        trunk = open_trunk(recipe, split, folder, cache, shipped_dir=options.shipped_dir)
        log.info("encoding %d pictures (%s)", len(pictures), " and ".join(trunk.extractors))
        features = {name: SplitFeatures.of(extractor, split) for name, extractor in trunk.extractors.items()}
        serving = next(iter(features.values()))
        held_out = HeldOutSet(serving.gallery, serving.queries, split.gallery.labels, split.queries.labels)
        model, fitted = fit_hashing_model(
            recipe if trunk.shipped is None else replace(recipe, descriptor_dim=None),
            trunk.encoder,
            _training_features(serving, trunk.serving, split),
            pictures.labels,
            _view_features(recipe, trunk.serving, split),
            teachers=_teacher_features(recipe, split, folder, cache, options.shipped_dir),
            checkpoint=options.checkpoint,
            observer=options.observer,
            held_out=held_out,
        )
        trained = TrainedModel(model, trunk.assemble(model, folder), features, trunk.serving, trunk.shipped)
        in_use = None if options.in_use is None else InUse(options.in_use, folder, cache)
        records = {spec.name: _method_record(recipe, spec) for spec in fitted.specs}
        written = write_recipe_artifacts(
            recipe, trained, split, out_dir, lambda spec: records[spec.name], in_use=in_use
        )
    if options.checkpoint is not None:
        options.checkpoint.unlink(missing_ok=True)
    return written


def _training_features(
    serving: SplitFeatures, extractor: FeatureExtractor, split: Split
) -> NDArray[np.float32]:
    """Features of ``split.training_pictures``, shape (n, d)."""
    if split.unlabelled is None:
        return serving.gallery
    return np.concatenate([serving.gallery, extractor.extract(split.unlabelled)])


def _teacher_features(
    recipe: Recipe, split: Split, folder: Path, cache: FeatureCache, shipped_dir: Path | None
) -> list[NDArray[np.float32]]:
    """Features of the training pictures by each teacher, shapes (n, t)."""
    features = []
    for number, name in enumerate(recipe.teachers):
        scratch = folder / f"teacher-{number}"
        scratch.mkdir()
        teacher = open_trunk(replace(recipe, encoder=name), split, scratch, cache, shipped_dir=shipped_dir)
        log.info("encoding %d pictures by %s", len(split.training_pictures), name)
        gallery = teacher.serving.extract(split.gallery)
        unlabelled = [] if split.unlabelled is None else [teacher.serving.extract(split.unlabelled)]
        features.append(np.concatenate([gallery, *unlabelled]))
    return features


def _view_features(recipe: Recipe, extractor: FeatureExtractor, split: Split) -> NDArray[np.float32] | None:
    """Features of edited copies of the training pictures, shape (v, n, d), if a method learns from them."""
    if not any(spec.method.needs_views for spec in recipe.specs if spec.method):
        return None
    pictures = split.training_pictures
    log.info("encoding %d edited copies", len(VIEWS) * len(pictures))
    return np.stack([extractor.extract_edited(pictures, edit) for edit in VIEWS])


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
        **({"teachers": list(recipe.teachers)} if recipe.teachers else {}),
        "descriptor_whiten": recipe.descriptor_whiten,
        "labels_used": spec.method.needs_labels,
    }
