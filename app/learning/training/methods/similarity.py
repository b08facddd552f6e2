"""Similarity regression: tune ITQ's hyperplanes until cosines of codes match those of the features."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from app.learning.nn import losses
from app.learning.nn.hash_layer import binarise
from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.gradient import GradientMethod, Objective
from app.learning.training.methods.itq import Itq


class TunedHyperplanes(nn.Module):
    """u = (x − mean) W, with W and the mean trained."""

    def __init__(self, start: nn.Module) -> None:
        """Start from a ``LinearHash``."""
        super().__init__()
        self.mean = nn.Parameter(start.mean.clone())
        self.weight = nn.Parameter(start.weight.clone())
        # The gradient of y = tanh(u) needs u of about 1; unit-length features give about 1 / sqrt(bits).
        self.gain = float(1 / start.weight.norm(dim=0).mean() * start.weight.shape[0] ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) to (n, bits)."""
        return (x - self.mean) @ self.weight * self.gain


@dataclass(frozen=True)
class SimilarityRegression(GradientMethod):
    """A linear layer, which cannot memorise the kinds of one collection and so transfers to others."""

    name: ClassVar[str] = "similarity"
    source: ClassVar[str] = (
        "Kernel-based supervised hashing's objective (Liu et al., CVPR 2012), cosines as target"
    )

    quantisation: float = 0.0
    decorrelation: float = 0.0

    def new_layer(self, training: TrainingSet, bits: int, seed: int) -> nn.Module:
        """ITQ's hyperplanes."""
        return TunedHyperplanes(Itq().fit(training, bits, seed))

    def objective(self, layer: nn.Module, training: TrainingSet, bits: int) -> Objective:  # noqa: ARG002
        """Weighted squared error of the cosines over all pairs of a batch."""
        return _Loss(self, layer, training)


class _Loss(Objective):
    def __init__(self, method: SimilarityRegression, layer: nn.Module, training: TrainingSet) -> None:
        super().__init__(layer, training)
        self.method = method

    def forward(self, rows: Tensor, rng: np.random.Generator) -> Tensor:  # noqa: ARG002
        """The loss of the pictures in these rows."""
        features = self.features[rows]
        y, code = binarise(self.layer(features))
        return (
            losses.similarity_regression(features, code)
            + self.method.quantisation * losses.quantisation(y, code)
            + self.method.decorrelation * losses.decorrelation(y)
        )
