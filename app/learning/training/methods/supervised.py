"""Codes from labels of all pictures, or of some while the rest learn from their neighbours."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from app.learning.nn import losses
from app.learning.nn.hash_layer import binarise
from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.gradient import Objective
from app.learning.training.methods.neighbour_contrast import NeighbourContrast, NeighbourContrastLoss


@dataclass(frozen=True)
class SupervisedContrast(NeighbourContrast):
    """Supervised contrast between labels; with partial labels, neighbour contrast runs on all pictures."""

    name: ClassVar[str] = "supervised"
    source: ClassVar[str] = "Khosla et al.: Supervised Contrastive Learning (https://arxiv.org/abs/2004.11362)"
    needs_labels: ClassVar[bool] = True

    supervision: float = 1.0
    contrast: float = 0.0
    """Weight of neighbour contrast; 1 makes the method semi-supervised."""

    def objective(self, layer: nn.Module, training: TrainingSet, bits: int) -> Objective:
        """The supervised term in addition to those of neighbour contrast.

        Raises:
            ValueError: The training set has no labels.
        """
        if training.labels is None:
            raise ValueError("a supervised method needs labels, and the training set has none")
        return _Loss(self, layer, training, bits, training.labels)


@dataclass(frozen=True)
class SemiSupervised(SupervisedContrast):
    """Labels of some pictures (−1 for the others), and neighbour contrast on all."""

    name: ClassVar[str] = "semi_supervised"
    partial_labels: ClassVar[bool] = True

    contrast: float = 1.0


class _Loss(NeighbourContrastLoss):
    def __init__(
        self,
        method: SupervisedContrast,
        layer: nn.Module,
        training: TrainingSet,
        bits: int,
        labels: np.ndarray,
    ) -> None:
        super().__init__(method, layer, training, bits)
        self.supervision = method.supervision
        self.labels = torch.from_numpy(np.asarray(labels))
        self.labelled = torch.from_numpy(np.flatnonzero(labels >= 0))

    def forward(self, rows: Tensor, rng: np.random.Generator) -> Tensor:
        """The loss of the pictures in these rows, and of as many labelled ones."""
        unsupervised = super().forward(rows, rng)
        picked = self.labelled[torch.from_numpy(rng.integers(0, len(self.labelled), len(rows)))]
        _, code = binarise(self.layer(self.features[picked]))
        return unsupervised + self.supervision * losses.supervised_contrast(
            code, self.labels[picked], self.method.temperature
        )
