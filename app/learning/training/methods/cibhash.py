"""Contrast between edited copies of a picture, with stochastic bits and an information bottleneck (CIBHash)."""

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
class CibHash(GradientMethod):
    """Bits are Bernoulli(sigmoid u); two views of a picture should match and agree."""

    name: ClassVar[str] = "cibhash"
    source: ClassVar[str] = "Qiu, Su, Ou, Yu, Chen: CIBHash, IJCAI 2021 (https://arxiv.org/abs/2105.06138)"

    needs_views: ClassVar[bool] = True

    temperature: float = 0.3
    bottleneck: float = 0.001
    """Weight of the divergence between the bits of the two views; the authors' value."""

    def objective(self, layer: nn.Module, training: TrainingSet, bits: int) -> Objective:  # noqa: ARG002
        """InfoNCE on sampled bits and the information bottleneck.

        Raises:
            ValueError: The training set has no edited views.
        """
        if training.views is None:
            raise ValueError("CIBHash learns from edited views, and the training set has none")
        return _Loss(self, layer, training, training.views)


class _Loss(Objective):
    def __init__(self, method: CibHash, layer: nn.Module, training: TrainingSet, views: np.ndarray) -> None:
        super().__init__(layer, training)
        self.method = method
        self.views = torch.from_numpy(np.concatenate([training.features[None], views]))  # (v, n, d)

    def forward(self, rows: Tensor, rng: np.random.Generator) -> Tensor:
        """The loss of the pictures in these rows."""
        first, second = rng.choice(len(self.views), size=2, replace=False)
        u = self.layer(torch.cat([self.views[first, rows], self.views[second, rows]]))
        a, b = _sample(torch.sigmoid(u)).chunk(2)
        return losses.info_nce(a, b, self.method.temperature) + self.method.bottleneck * _divergence(
            *u.chunk(2)
        )


def _sample(probability: Tensor) -> Tensor:
    """Sample −1 or +1 (+1 with this probability), with the gradient of the expectation."""
    drawn = (torch.rand_like(probability) < probability).float()
    sampled = probability + (drawn - probability).detach()
    return 2 * sampled - 1


def _divergence(u: Tensor, v: Tensor) -> Tensor:
    """Symmetric KL divergence of independent Bernoulli bits with logits u and v, summed over bits."""
    p, q = torch.sigmoid(u), torch.sigmoid(v)
    forwards = F.binary_cross_entropy_with_logits(v, p, reduction="none") - _entropy(u)
    backwards = F.binary_cross_entropy_with_logits(u, q, reduction="none") - _entropy(v)
    return (forwards + backwards).sum(dim=1).mean()


def _entropy(u: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(u, torch.sigmoid(u), reduction="none")
