"""Prepare features for hashing: signed root, unit length, centring, projection on principal directions."""

from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.learning.rotation import principal_directions

EPS: Final = 1e-9


class FeaturePreparation(nn.Module):
    """Signed square root, L2, centring, PCA with partial whitening, L2.

    The root dampens the few features that dominate a pooled ReLU vector (Perronnin, Sánchez, Mensink 2010).
    Scaling a direction by its eigenvalue to the power −whiten / 2 gives weaker directions more weight (Jégou,
    Chum 2012).

    Attributes:
        mean: Shape (d,), float32.
        projection: Shape (d, m), float32.
    """

    mean: Tensor
    projection: Tensor

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim_in))
        self.register_buffer("projection", torch.zeros(dim_in, dim_out))

    @classmethod
    def fit(cls, features: NDArray[np.float32], dim: int, *, whiten: float = 0.5) -> Self:
        """Compute mean and principal directions.

        Args:
            features: Encoder outputs, shape (n, d), float32.
            dim: Number of directions to keep, at most min(n − 1, d).
            whiten: 0 keeps the variances, 1 makes them equal.
        """
        rooted = _signed_root(torch.from_numpy(features)).numpy().astype(np.float64)
        mean = rooted.mean(axis=0)
        variances, directions = principal_directions(rooted - mean, dim)
        prepared = cls(features.shape[1], dim)
        scaled = directions * np.maximum(variances, 1e-12) ** (-whiten / 2)
        prepared.mean.copy_(torch.from_numpy(mean.astype(np.float32)))
        prepared.projection.copy_(torch.from_numpy(scaled.astype(np.float32)))
        return prepared

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, d) to prepared features (n, m) of unit length."""
        projected = (_signed_root(features) - self.mean) @ self.projection
        return projected / projected.norm(dim=1, keepdim=True).clamp(min=EPS)


def _signed_root(features: Tensor) -> Tensor:
    rooted = features.sign() * features.abs().sqrt()
    return rooted / rooted.norm(dim=1, keepdim=True).clamp(min=EPS)
