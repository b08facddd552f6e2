"""Iterative quantisation: rotate the principal directions so that taking signs loses least."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from app.learning.nn.hash_layer import LinearHash
from app.learning.nn.preparation import principal_directions
from app.learning.training.methods.base import HashMethod, TrainingSet


@dataclass(frozen=True)
class Itq(HashMethod):
    """PCA to as many directions as bits, then the rotation R that minimises ‖sign(VR) − VR‖ (their Eq. 2)."""

    name: ClassVar[str] = "itq"
    source: ClassVar[str] = "Gong, Lazebnik, Gordo, Perronnin: Iterative Quantization, TPAMI 2013"

    iterations: int = 50
    """Alternations between codes and rotation; 50 as in the paper."""

    def fit(self, training: TrainingSet, bits: int, seed: int) -> LinearHash:
        """Fit the hyperplanes; ``bits`` is at most the number of features."""
        features = training.features.astype(np.float64)
        mean = features.mean(axis=0)
        _, directions = principal_directions(features - mean, bits)
        rotation = self._rotation((features - mean) @ directions, seed)
        return LinearHash.of(mean, directions @ rotation)

    def _rotation(self, projected: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
        bits = projected.shape[1]
        rotation, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((bits, bits)))
        for _ in range(self.iterations):
            signs = np.where(projected @ rotation >= 0, 1.0, -1.0)
            # Orthogonal Procrustes problem: the rotation closest to the codes.
            left, _, right = np.linalg.svd(signs.T @ projected)
            rotation = (left @ right).T
        return rotation
