"""Hash layers: prepared features (n, d) to y (n, bits), whose signs are the code.

The paper's y is tanh(Wz + b). Since tanh keeps the sign and only the losses need it, the layers here return its
argument u; ``binarise`` computes y and a code that gradients can pass through.
"""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class LinearHash(nn.Module):
    """u = (x − mean) W, with fixed hyperplanes of any origin (random, principal, rotated)."""

    mean: Tensor
    weight: Tensor

    def __init__(self, dim: int, bits: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("weight", torch.zeros(dim, bits))

    @classmethod
    def of(cls, mean: NDArray[np.float64], weight: NDArray[np.float64]) -> Self:
        """Build a layer from hyperplanes: mean (d,), weight (d, bits)."""
        layer = cls(*weight.shape)
        layer.mean.copy_(torch.from_numpy(mean.astype(np.float32)))
        layer.weight.copy_(torch.from_numpy(weight.astype(np.float32)))
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) to (n, bits)."""
        return (x - self.mean) @ self.weight


class MlpHash(nn.Module):
    """A multilayer perceptron: one hidden layer with batch normalisation, then the bits.

    Components of unit-length features are about 1 / √d, so they are first scaled to about 1.
    """

    def __init__(self, dim: int, bits: int, hidden: int = 512) -> None:
        super().__init__()
        self.scale = dim**0.5
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, bits)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) to (n, bits)."""
        u: Tensor = self.layers(x * self.scale)
        return u


def binarise(u: Tensor) -> tuple[Tensor, Tensor]:
    """Compute y = tanh u, and the code sign(u) with the gradient of y.

    Returns:
        y and code, both with the shape of u; the code is −1 or +1, and +1 where u is 0.

    Source: the straight-through estimator of Bengio, Léonard, Courville (https://arxiv.org/abs/1308.3432).
    """
    y = torch.tanh(u)
    code = torch.where(u >= 0, 1.0, -1.0)
    return y, y + (code - y).detach()
