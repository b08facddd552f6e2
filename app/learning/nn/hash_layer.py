"""Hash layers: prepared features (n, d) to y (n, bits), whose signs are the code."""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class LinearHash(nn.Module):
    """y = (x − mean) W: hyperplanes, wherever they come from (random, principal, rotated, learned)."""

    mean: Tensor
    weight: Tensor

    def __init__(self, dim: int, bits: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("weight", torch.zeros(dim, bits))

    @classmethod
    def of(cls, mean: NDArray[np.float64], weight: NDArray[np.float64]) -> Self:
        """A layer of given hyperplanes: mean (d,), weight (d, bits)."""
        layer = cls(*weight.shape)
        layer.mean.copy_(torch.from_numpy(mean.astype(np.float32)))
        layer.weight.copy_(torch.from_numpy(weight.astype(np.float32)))
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) to (n, bits)."""
        return (x - self.mean) @ self.weight
