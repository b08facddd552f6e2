"""Fit the layers behind a frozen encoder: feature preparation, hash layers, descriptor."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from app.learning.nn.encoders.base import PictureEncoder
from app.learning.nn.encoders.efficientnet_lite import published_classifier
from app.learning.nn.model import Descriptor, HashingModel
from app.learning.nn.preparation import FeaturePreparation
from app.learning.nn.wordnet import WordnetFeatures, WordnetPreparation
from app.learning.training.features.extraction import apply_module
from app.learning.training.methods.base import EpochCallback, TrainingSet
from app.learning.training.monitoring.epochs import EpochObserver, HeldOutSet
from app.learning.training.recipe import Recipe


def fit_hashing_model(
    recipe: Recipe,
    encoder: PictureEncoder,
    features: NDArray[np.float32],
    labels: NDArray[np.int64] | None = None,
    views: NDArray[np.float32] | None = None,
    *,
    teachers: Sequence[NDArray[np.float32]] = (),
    checkpoint: Path | None = None,
    observer: EpochObserver | None = None,
    held_out: HeldOutSet | None = None,
) -> tuple[HashingModel, Recipe]:
    """Fit the layers of a recipe to encoder features.

    Args:
        recipe: Methods, code lengths and dimensions.
        encoder: The encoder, used unchanged in the model.
        features: Encoder outputs on the training pictures, shape (n, d), float32; from the quantised encoder
            if that is the one that will serve.
        labels: Kinds, shape (n,), −1 where unknown, for methods that use them.
        views: Encoder outputs on edited copies, shape (v, n, d), for methods that use them.
        teachers: Outputs of other encoders on the training pictures, shapes (n, t), for methods that use them.
        checkpoint: File from which methods with epochs resume.
        observer: Receives the figures of each epoch, if the method has epochs.
        held_out: Encoder outputs on which to measure each epoch.

    Returns:
        The model, and the recipe with the settings that were chosen for these features.
    """
    preparation = _fit_preparation(recipe, encoder, features)
    prepared_views = None if views is None else np.stack([apply_module(preparation, view) for view in views])
    prepared = apply_module(preparation, features)
    training = TrainingSet(
        prepared,
        labels,
        prepared_views,
        _joined(prepared, [_prepared(recipe, outputs) for outputs in teachers]),
        checkpoint=checkpoint,
        on_epoch=_epoch_callback(observer, held_out, preparation),
    )
    specs = tuple(
        replace(spec, method=spec.method and spec.method.suited_to(training.targets)) for spec in recipe.specs
    )
    layers = {spec.output: spec.method.fit(training, spec.bits, recipe.seed) for spec in specs if spec.method}
    model = HashingModel(encoder, preparation, layers, _fit_descriptor(recipe, features))
    return model, replace(recipe, specs=specs)


def _fit_preparation(
    recipe: Recipe, encoder: PictureEncoder, features: NDArray[np.float32]
) -> FeaturePreparation | WordnetPreparation:
    visual = _visual_preparation(recipe, features)
    dim = visual.projection.shape[1]
    if not recipe.wordnet:
        return visual
    classifier = published_classifier(encoder.name)
    if classifier is None:
        raise ValueError(f"WordNet features need an EfficientNet-Lite encoder, not {encoder.name}")
    return WordnetPreparation(visual, WordnetFeatures(*classifier).fit(features), recipe.wordnet, dim).fit(
        features
    )


def _visual_preparation(recipe: Recipe, features: NDArray[np.float32]) -> FeaturePreparation:
    # PCA cannot find more directions than there are pictures.
    return FeaturePreparation.fit(features, min(recipe.prepared_dim, len(features) - 1), whiten=recipe.whiten)


def _prepared(recipe: Recipe, features: NDArray[np.float32]) -> NDArray[np.float32]:
    return apply_module(_visual_preparation(recipe, features), features)


def _joined(own: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> NDArray[np.float32] | None:
    """Join unit-length features so that their inner products are means over encoders; None without others."""
    if not others:
        return None
    joined = np.concatenate([own, *others], axis=1) / (1 + len(others)) ** 0.5
    return joined.astype(np.float32)


def _epoch_callback(
    observer: EpochObserver | None, held_out: HeldOutSet | None, preparation: nn.Module
) -> EpochCallback | None:
    if observer is None or held_out is None:
        return None

    def report(epoch: int, epochs: int, loss: float, layer: nn.Module) -> None:
        layer.eval()
        observer.report(
            held_out.measure(
                lambda features: apply_module(layer, apply_module(preparation, features)),
                epoch=epoch,
                epochs=epochs,
                loss=loss,
            )
        )

    return report


def _fit_descriptor(recipe: Recipe, features: NDArray[np.float32]) -> Descriptor | None:
    if recipe.descriptor_dim is None:
        return None
    dim = min(recipe.descriptor_dim, len(features) - 1)
    reduce = FeaturePreparation.fit(features, dim, whiten=recipe.descriptor_whiten)
    # Clipping one component in a thousand leaves more of the 255 levels to the others.
    largest = float(np.percentile(np.abs(apply_module(reduce, features)), 99.9))
    return Descriptor(reduce, dim, scale=127 / largest)
