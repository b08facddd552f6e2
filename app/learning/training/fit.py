"""Learn everything that follows a frozen encoder: preparation, hash layers, descriptor."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from app.learning.nn.encoders.base import PictureEncoder
from app.learning.nn.model import Descriptor, HashingModel
from app.learning.nn.preparation import Preparation
from app.learning.training.features import apply
from app.learning.training.methods.base import EpochWatch, TrainingSet
from app.learning.training.recipe import Recipe
from app.learning.training.watching import HeldOut, Watching


def fit_model(
    recipe: Recipe,
    encoder: PictureEncoder,
    features: NDArray[np.float32],
    labels: NDArray[np.int64] | None = None,
    views: NDArray[np.float32] | None = None,
    *,
    watching: Watching | None = None,
    held_out: HeldOut | None = None,
) -> HashingModel:
    """Fit a recipe to encoder features.

    Args:
        recipe: What to fit.
        encoder: Goes into the model as it is.
        features: Its outputs on the pictures to learn from, shape (n, d), float32; of the quantised encoder if
            that is what will serve.
        labels: Kinds, shape (n,), −1 where unknown, for methods that use them.
        views: Encoder outputs on edited copies, shape (v, n, d), for methods that use them.
        watching: Who is told of each epoch, where a method has epochs.
        held_out: Encoder outputs to measure each epoch on.
    """
    # PCA cannot find more directions than there are pictures.
    preparation = Preparation.fit(features, min(recipe.prepared_dim, len(features) - 1), whiten=recipe.whiten)
    seen = None if views is None else np.stack([apply(preparation, view) for view in views])
    training = TrainingSet(
        apply(preparation, features),
        labels,
        seen,
        checkpoint=None if watching is None else watching.checkpoint,
        watch=_epoch_watch(watching, held_out, preparation),
    )
    layers = {s.output: s.method.fit(training, s.bits, recipe.seed) for s in recipe.siblings if s.method}
    return HashingModel(encoder, preparation, layers, _descriptor(recipe, features))


def _epoch_watch(
    watching: Watching | None, held_out: HeldOut | None, preparation: Preparation
) -> EpochWatch | None:
    if watching is None or held_out is None:
        return None

    def tell(epoch: int, epochs: int, loss: float, layer: nn.Module) -> None:
        layer.eval()
        watching.report(
            held_out.measure(
                lambda features: apply(layer, apply(preparation, features)),
                epoch=epoch,
                epochs=epochs,
                loss=loss,
            )
        )

    return tell


def _descriptor(recipe: Recipe, features: NDArray[np.float32]) -> Descriptor | None:
    if recipe.descriptor_dim is None:
        return None
    dim = min(recipe.descriptor_dim, len(features) - 1)
    reduce = Preparation.fit(features, dim, whiten=recipe.descriptor_whiten)
    # Clipping one component in a thousand leaves the others more of the 255 levels.
    largest = float(np.percentile(np.abs(apply(reduce, features)), 99.9))
    return Descriptor(reduce, dim, scale=127 / largest)
