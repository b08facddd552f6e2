"""Weights of the bits for each class of the encoder's own classifier.

Behind linear layers they need no picture. The classifier scores a class by ``W f + b`` of the features f. With
signed root, centring, principal directions and rotation, the bits are the signs of ``((√f − mean) P − m) R``.
Around the mean, f is about 2·mean·√f, so the rows of ``((W · mean) P) R`` say how much each bit speaks for each
class. The mean class is subtracted: only differences between classes rank pictures.

Behind other layers, the scores of the training pictures are regressed on their bits.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from app.learning.nn.encoders.efficientnet_lite import classifier_weights
from app.learning.nn.hash_layer import LinearHash
from app.learning.nn.model import HashingModel
from app.learning.nn.preparation import FeaturePreparation
from app.learning.training.features.extraction import apply_module

RIDGE: Final = 0.1
"""Of .01, .1 and 1, the one by which words found most on photographs of flowers and of CIFAR-10's kinds."""


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


def regressed_class_weights(
    classifier: NDArray[np.float32], features: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Regress the scores of pictures on their bits, with a ridge.

    Args:
        classifier: Shape (classes, d).
        features: Encoder features of pictures, shape (n, d).
        y: Hash-layer outputs of the same pictures, shape (n, bits).

    Returns:
        Shape (classes, bits), float32.
    """
    scores = features.astype(np.float64) @ (classifier - classifier.mean(axis=0)).T
    signs = np.where(y >= 0, 1.0, -1.0)
    covariance = signs.T @ signs / len(signs) + RIDGE * np.eye(signs.shape[1])
    weights = np.linalg.solve(covariance, signs.T @ (scores - scores.mean(axis=0)) / len(signs))
    return weights.T.astype(np.float32)


def model_class_weights(
    model: HashingModel, output: str, features: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Return the class weights of one hash layer; None if the encoder has no classifier.

    Args:
        model: The model.
        output: Name of the layer's output.
        features: Encoder features of training pictures, shape (n, d), for layers that are not linear.
    """
    classifier = classifier_weights(model.encoder.name)
    if classifier is None:
        return None
    layer = model.hash_layers[output]
    if not isinstance(model.preparation, FeaturePreparation) or not isinstance(layer, LinearHash):
        y = apply_module(layer, apply_module(model.preparation, features))
        return regressed_class_weights(classifier, features, y)
    tensors: list[torch.Tensor] = [model.preparation.mean, model.preparation.projection, layer.weight]
    return class_weights(classifier, *(tensor.detach().numpy() for tensor in tensors))
