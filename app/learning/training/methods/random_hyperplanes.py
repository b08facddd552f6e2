"""Random hyperplanes: a baseline that learns only the mean."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from app.learning.nn.hash_layer import LinearHash
from app.learning.training.methods.base import HashMethod, TrainingSet


@dataclass(frozen=True)
class RandomHyperplanes(HashMethod):
    """Each bit says on which side of a random hyperplane through the mean a picture is."""

    name: ClassVar[str] = "random_hyperplanes"
    source: ClassVar[str] = "Charikar: Similarity estimation techniques from rounding algorithms, STOC 2002"

    def fit(self, training: TrainingSet, bits: int, seed: int) -> LinearHash:
        """Draw the hyperplanes."""
        mean = training.features.mean(axis=0, dtype=np.float64)
        return LinearHash.of(mean, np.random.default_rng(seed).standard_normal((len(mean), bits)))
