"""Iterative quantisation: rotate the principal directions so that taking signs loses least."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from app.learning.nn.hash_layer import LinearHash
from app.learning.rotation import ITQ_ITERATIONS, itq_rotation, principal_directions
from app.learning.training.methods.base import HashMethod, TrainingSet


@dataclass(frozen=True)
class Itq(HashMethod):
    """PCA to as many directions as bits, then the rotation R that minimises ‖sign(VR) − VR‖ (their Eq. 2)."""

    name: ClassVar[str] = "itq"
    source: ClassVar[str] = "Gong, Lazebnik, Gordo, Perronnin: Iterative Quantization, TPAMI 2013"

    iterations: int = ITQ_ITERATIONS
    """Alternations between codes and rotation; 50 as in the paper."""

    def fit(self, training: TrainingSet, bits: int, seed: int) -> LinearHash:
        """Fit the hyperplanes; ``bits`` is at most the number of features."""
        features = training.features.astype(np.float64)
        mean = features.mean(axis=0)
        _, directions = principal_directions(features - mean, bits)
        rotation = itq_rotation((features - mean) @ directions, seed, self.iterations)
        return LinearHash.of(mean, directions @ rotation)
