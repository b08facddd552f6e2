"""The paper's hash layer on frozen features: y = tanh(Wz + b) with only the quantisation loss.

In the paper's Algorithm 2 the reconstruction does not pass through the hash layer, so the only loss on W and b
is the distance of y from sign(y). It requires y to be ±1, not that pictures differ. With frozen features, this
file is the whole method.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from app.learning.nn import losses
from app.learning.nn.hash_layer import binarise
from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.gradient import GradientMethod, Objective


@dataclass(frozen=True)
class PaperLayer(GradientMethod):
    """The second term of Algorithm 2, with the paper's optimiser settings."""

    name: ClassVar[str] = "paper_layer"
    source: ClassVar[str] = "the paper's Eq. 5, 6 and Algorithm 2, encoder frozen"

    epochs: int = 20
    batch: int = 128
    learning_rate: float = 1e-4
    weight_decay: float = 0.0

    def new_layer(self, training: TrainingSet, bits: int, seed: int) -> nn.Module:  # noqa: ARG002
        """W and b with torch's default initialisation."""
        return nn.Linear(training.features.shape[1], bits)

    def objective(self, layer: nn.Module, training: TrainingSet, bits: int) -> Objective:  # noqa: ARG002
        """The quantisation loss alone."""
        return _Loss(layer, training)


class _Loss(Objective):
    def forward(self, rows: Tensor, rng: np.random.Generator) -> Tensor:  # noqa: ARG002
        """The loss of the pictures in these rows."""
        return losses.quantisation(*binarise(self.layer(self.features[rows])))
