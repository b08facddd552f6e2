"""Meaning of a picture: probabilities of ImageNet's classes, summed along WordNet.

A classifier may take a lorry for a fire engine or a tow truck, but be sure of a vehicle. The probabilities of
the encoder's own classes, summed over the classes below each noun, keep what such guesses have in common. They
need no labels beyond those that the encoder was trained with.
"""

from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.learning.nn.preparation import EPS, FeaturePreparation
from app.learning.rotation import principal_directions
from app.words.vocabulary import vocabulary

TEMPERATURE: Final = 5.0
"""Softens the classifier, so that its second and later guesses count."""


def noun_members() -> NDArray[np.uint8]:
    """Return the classes of each noun, shape (classes, nouns), uint8: 1 for it and all nouns above."""
    words = vocabulary()
    nouns = sorted(words.below)
    members = np.zeros((len(words.class_synsets), len(nouns)), np.uint8)
    for column, noun in enumerate(nouns):
        members[sorted(words.below[noun]), column] = 1
    return members


class WordnetFeatures(nn.Module):
    """Square roots of the nouns' probabilities, centred, weighted by information content, of unit length.

    A noun that all classes share tells nothing and weighs 0; a class weighs the square root of log 1,000.

    Attributes:
        weight: Classifier, shape (d, classes), float32.
        bias: Shape (classes,), float32.
        members: See ``noun_members``.
        mean: Mean root probability of each noun, shape (nouns,), float32.
        content: Square roots of the information content, same shape.
    """

    weight: Tensor
    bias: Tensor
    members: Tensor
    mean: Tensor
    content: Tensor

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        """Store a classifier: weight (classes, d), bias (classes,); the mean is 0 until ``fit``."""
        super().__init__()
        members = noun_members()
        counts = members.sum(axis=0, dtype=np.int64)
        content = np.sqrt(np.log(len(members) / counts)).astype(np.float32)
        # These come from the encoder's package and from the vocabulary; weights files do not repeat them.
        self.register_buffer("weight", torch.from_numpy(np.ascontiguousarray(weight.T)), persistent=False)
        self.register_buffer("bias", torch.from_numpy(bias.copy()), persistent=False)
        self.register_buffer("members", torch.from_numpy(members), persistent=False)
        self.register_buffer("mean", torch.zeros(members.shape[1]))
        self.register_buffer("content", torch.from_numpy(content))

    def roots(self, features: Tensor) -> Tensor:
        """Compute square roots of the nouns' probabilities, (n, d) to (n, nouns)."""
        chances = ((features @ self.weight + self.bias) / TEMPERATURE).softmax(dim=1)
        return (chances @ self.members.float()).sqrt()

    @torch.no_grad()
    def fit(self, features: NDArray[np.float32], batch: int = 1024) -> Self:
        """Centre on the mean of these features, shape (n, d)."""
        total = torch.zeros_like(self.mean, dtype=torch.float64)
        for start in range(0, len(features), batch):
            total += self.roots(torch.from_numpy(np.array(features[start : start + batch]))).double().sum(dim=0)
        self.mean.copy_((total / len(features)).float())
        return self

    def forward(self, features: Tensor) -> Tensor:
        """(n, d) to (n, nouns) of unit length."""
        centred = (self.roots(features) - self.mean) * self.content
        return centred / centred.norm(dim=1, keepdim=True).clamp(min=EPS)


class WordnetPreparation(nn.Module):
    """Prepared features and WordNet features × α, reduced to their principal directions, of unit length.

    Attributes:
        mean: Mean of the joined features, shape (m + nouns,), float32.
        projection: Shape (m + nouns, dim), float32.
    """

    mean: Tensor
    projection: Tensor

    def __init__(self, visual: FeaturePreparation, meaning: WordnetFeatures, alpha: float, dim: int) -> None:
        """Join the parts; directions are 0 until ``fit``."""
        super().__init__()
        self.visual, self.meaning, self.alpha = visual, meaning, alpha
        width = visual.projection.shape[1] + len(meaning.mean)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("projection", torch.zeros(width, dim))

    @torch.no_grad()
    def fit(self, features: NDArray[np.float32], batch: int = 1024) -> Self:
        """Find the principal directions of encoder features, shape (n, d), float32."""
        joined = np.concatenate(
            [
                self._joined(torch.from_numpy(np.array(features[start : start + batch]))).numpy()
                for start in range(0, len(features), batch)
            ]
        ).astype(np.float64)
        mean = joined.mean(axis=0)
        _, directions = principal_directions(joined - mean, self.projection.shape[1])
        self.mean.copy_(torch.from_numpy(mean.astype(np.float32)))
        self.projection.copy_(torch.from_numpy(directions.astype(np.float32)))
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, d) to prepared features (n, dim) of unit length."""
        projected = (self._joined(features) - self.mean) @ self.projection
        return projected / projected.norm(dim=1, keepdim=True).clamp(min=EPS)

    def _joined(self, features: Tensor) -> Tensor:
        return torch.cat([self.visual(features), self.alpha * self.meaning(features)], dim=1)
