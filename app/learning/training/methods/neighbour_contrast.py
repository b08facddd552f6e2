"""Neighbour contrast: near neighbours in feature space should have near codes, all others far ones."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.learning.nn import losses
from app.learning.nn.hash_layer import binarise
from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.gradient import GradientMethod, Objective
from app.learning.training.methods.neighbours import nearest_neighbours


@dataclass(frozen=True)
class NeighbourContrast(GradientMethod):
    """InfoNCE on straight-through codes with near neighbours as positives, and terms that keep bits in use."""

    name: ClassVar[str] = "neighbour_contrast"
    source: ClassVar[str] = (
        "SimCLR's loss (https://arxiv.org/abs/2002.05709) with neighbours as positives as in NNCLR "
        "(https://arxiv.org/abs/2104.14548), balance and decorrelation of Deep Hashing (CVPR 2015)"
    )

    neighbours: int = 10
    """A positive is drawn from this many nearest pictures; 10 suits small kinds, 100 and more large ones."""
    temperature: float = 0.3
    contrast: float = 1.0
    reconstruction: float = 1.0
    quantisation: float = 0.1
    balance: float = 0.1
    decorrelation: float = 0.1
    dropout: float = 0.0
    """Share of input features dropped in each of the two views."""

    def positives(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Rows from which each row's positive is drawn, shape (n, neighbours), int64."""
        return nearest_neighbours(features, min(self.neighbours, len(features) - 1))

    def objective(self, layer: nn.Module, training: TrainingSet, bits: int) -> Objective:
        """The weighted sum of the five terms."""
        return NeighbourContrastLoss(self, layer, training, bits)


class NeighbourContrastLoss(Objective):
    """The terms of neighbour contrast, to which supervised methods add theirs."""

    def __init__(self, method: NeighbourContrast, layer: nn.Module, training: TrainingSet, bits: int) -> None:
        super().__init__(layer, training)
        self.method = method
        # Finding neighbours takes longer than training without them.
        found = method.positives(training.features) if method.contrast else np.empty((0, 1), np.int64)
        self.neighbours = torch.from_numpy(found)
        self.decoder = losses.CodeDecoder(bits, training.features.shape[1], method.hidden)

    def forward(self, rows: Tensor, rng: np.random.Generator) -> Tensor:
        """The loss of the pictures in these rows."""
        m, own = self.method, self.features[rows]
        views = torch.cat([own, self._near(rows, rng)]) if m.contrast else own  # (2n, d) or (n, d)
        y, code = binarise(self.layer(nn.functional.dropout(views, m.dropout)))
        loss = m.quantisation * losses.quantisation(y, code) + m.balance * losses.balance(y)
        loss = loss + m.decorrelation * losses.decorrelation(y)
        if m.contrast:
            loss = loss + m.contrast * losses.info_nce(*code.chunk(2), m.temperature)
        if m.reconstruction:
            rebuilt = self.decoder(code[: len(rows)])
            loss = loss + m.reconstruction * losses.cosine_reconstruction(own, rebuilt)
        return loss

    def _near(self, rows: Tensor, rng: np.random.Generator) -> Tensor:
        picked = torch.from_numpy(rng.integers(0, self.neighbours.shape[1], len(rows)))
        return self.features[self.neighbours[rows, picked]]
