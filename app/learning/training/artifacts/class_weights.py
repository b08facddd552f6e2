"""Weights of the bits for each class of the encoder's own classifier, without any picture.

The classifier scores a class by ``W f + b`` of the features f. With signed root, centring, principal directions
and rotation, the bits are the signs of ``((√f − mean) P − m) R``. Around the mean, f is about 2·mean·√f, so the
rows of ``((W · mean) P) R`` say how much each bit speaks for each class. The mean class is subtracted: only
differences between classes rank pictures.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from app.learning.nn.encoders.efficientnet_lite import classifier_weights
from app.learning.nn.hash_layer import LinearHash
from app.learning.nn.model import HashingModel
from app.learning.nn.preparation import FeaturePreparation


def class_weights(
    classifier: NDArray[np.float32],
    mean: NDArray[np.float32],
    projection: NDArray[np.float32],
    rotation: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Carry a classifier through the preparation and the hash layer.

    Args:
        classifier: Shape (classes, d).
        mean: Mean of the rooted features, shape (d,).
        projection: Principal directions, shape (d, m).
        rotation: Hash layer, shape (m, bits).

    Returns:
        Shape (classes, bits), float32.
    """
    centred = classifier.astype(np.float64) - classifier.mean(axis=0, dtype=np.float64)
    weights: NDArray[np.float32] = ((centred * mean) @ projection @ rotation).astype(np.float32)
    return weights


def model_class_weights(model: HashingModel, output: str) -> NDArray[np.float32] | None:
    """Return the class weights of one hash layer; None without a classifier or linear layers."""
    layer = model.hash_layers[output]
    prepared = isinstance(model.preparation, FeaturePreparation) and isinstance(layer, LinearHash)
    classifier = classifier_weights(model.encoder.name) if prepared else None
    if classifier is None:
        return None
    tensors: list[torch.Tensor] = [model.preparation.mean, model.preparation.projection, layer.weight]
    return class_weights(classifier, *(tensor.detach().numpy() for tensor in tensors))
