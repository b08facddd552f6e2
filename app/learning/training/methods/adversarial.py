"""An adversarial autoencoder of features: a critic should not tell the bits of pictures from random coins.

It is fitted to the features of a frozen encoder, with one hidden layer, not to pixels as the paper's
adversarial autoencoder. Its codes do not find more than those of ITQ on the same features (Table V of
docs/research/report.md): use it for comparison only.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F  # noqa: N812

from app.learning.nn import losses
from app.learning.nn.hash_layer import binarise
from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.gradient import GradientMethod, Objective


@dataclass(frozen=True)
class AdversarialBits(GradientMethod):
    """Reconstruction from the code, with a critic in place of the balance and decorrelation terms."""

    name: ClassVar[str] = "adversarial"
    source: ClassVar[str] = "Makhzani et al.: Adversarial Autoencoders (https://arxiv.org/abs/1511.05644)"

    epochs: int = 30
    critic: float = 0.1
    """Weight of the reversed gradient of the critic."""
    critic_hidden: int = 256

    def objective(self, layer: nn.Module, training: TrainingSet, bits: int) -> Objective:
        """Reconstruction, critic and quantisation."""
        return _Loss(self, layer, training, bits)


class _Reverse(Function):
    """Identity with a reversed gradient, so that one step trains both players.

    Source: Ganin, Lempitsky (https://arxiv.org/abs/1409.7495).
    """

    @staticmethod
    def forward(ctx: object, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight  # type: ignore[attr-defined]
        return x.view_as(x)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradient, None  # type: ignore[attr-defined]


class _Loss(Objective):
    def __init__(self, method: AdversarialBits, layer: nn.Module, training: TrainingSet, bits: int) -> None:
        super().__init__(layer, training)
        self.weight = method.critic
        self.decoder = losses.CodeDecoder(bits, training.features.shape[1], method.hidden)
        self.critic = nn.Sequential(
            nn.Linear(bits, method.critic_hidden), nn.LeakyReLU(0.2), nn.Linear(method.critic_hidden, 1)
        )

    def forward(self, rows: Tensor, rng: np.random.Generator) -> Tensor:  # noqa: ARG002 - torch tosses the coins
        """The loss of the pictures in these rows."""
        features = self.features[rows]
        y, code = binarise(self.layer(features))
        coins = torch.where(torch.rand_like(y) < 0.5, -1.0, 1.0)
        seen = self.critic(torch.cat([coins, _Reverse.apply(code, self.weight)]))  # (2n, 1)
        truth = torch.cat([torch.ones(len(rows), 1), torch.zeros(len(rows), 1)])
        return (
            losses.cosine_reconstruction(features, self.decoder(code))
            + F.binary_cross_entropy_with_logits(seen, truth)
            + 0.1 * losses.quantisation(y, code)
        )
