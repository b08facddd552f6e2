"""A variational autoencoder of features whose latent variables are the bits.

It is fitted to the features of a frozen encoder, with one hidden layer, not to pixels as the paper's
variational autoencoder. Its codes do not find more than those of ITQ on the same features (Table V of
docs/research/report.md): use it for comparison only.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from app.learning.nn import losses
from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.gradient import GradientMethod, Objective


@dataclass(frozen=True)
class VariationalBits(GradientMethod):
    """Bits are Bernoulli(sigmoid u) with a fair-coin prior; the decoder reconstructs features from a sample."""

    name: ClassVar[str] = "variational"
    source: ClassVar[str] = "Shen et al.: NASH, ACL 2018 (https://arxiv.org/abs/1805.05361)"

    epochs: int = 30
    prior: float = 0.01
    """Weight of the divergence from fair coins, averaged over bits."""

    def objective(self, layer: nn.Module, training: TrainingSet, bits: int) -> Objective:
        """The negative evidence lower bound, with cosine in place of the Gaussian likelihood."""
        return _Loss(self, layer, training, bits)


class _Loss(Objective):
    def __init__(self, method: VariationalBits, layer: nn.Module, training: TrainingSet, bits: int) -> None:
        super().__init__(layer, training)
        self.prior = method.prior
        self.decoder = losses.CodeDecoder(bits, training.features.shape[1], method.hidden)

    def forward(self, rows: Tensor, rng: np.random.Generator) -> Tensor:  # noqa: ARG002 - torch draws the bits
        """The loss of the pictures in these rows."""
        features = self.features[rows]
        u = self.layer(features)
        chance = torch.sigmoid(u)
        drawn = (torch.rand_like(chance) < chance).float()
        code = 2 * (chance + (drawn - chance).detach()) - 1
        # KL(Bernoulli(chance) ‖ Bernoulli(1/2)) = log 2 minus the entropy of chance
        entropy = F.binary_cross_entropy_with_logits(u, chance)
        divergence = torch.log(torch.tensor(2.0)) - entropy
        # A decided bit needs a large |u|, an undecided one u = 0; balance keeps both values in use.
        return (
            losses.cosine_reconstruction(features, self.decoder(code))
            + self.prior * divergence
            + 0.1 * losses.balance(torch.tanh(u))
        )
