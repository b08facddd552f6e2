"""A network that learns codes from pictures alone: two views of a picture should have the same code."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from app.learning.nn import losses
from app.learning.nn.augment import random_views
from app.learning.nn.encoders.base import PictureEncoder
from app.learning.nn.hash_layer import binarise

Rows = Callable[[Tensor], Tensor]


class ContrastiveNetwork(nn.Module):
    """Encoder and hash layer trained with InfoNCE on straight-through codes of two views, as in CIBHash.

    ``forward`` returns the loss terms, ``encode`` the values used for retrieval.
    """

    def __init__(
        self,
        encoder: PictureEncoder,
        bits: int,
        *,
        temperature: float = 0.3,
        gather: Rows = lambda rows: rows,
        views: Rows = random_views,
    ) -> None:
        """Build the network.

        Args:
            encoder: Encoder to train.
            bits: Code length.
            temperature: Temperature of InfoNCE.
            gather: Gathers the rows of all ranks, so that the pictures of each rank are negatives for the
                others.
            views: Draws one view of each picture, (n, S, S, 3) uint8 to the same shape.
        """
        super().__init__()
        self.encoder, self.bits, self.temperature = encoder, bits, temperature
        self.hash_layer = nn.Sequential(nn.BatchNorm1d(encoder.dim, affine=False), nn.Linear(encoder.dim, bits))
        self._gather, self._views = gather, views

    def encode(self, pixels: Tensor) -> Tensor:
        """Compute u, shape (n, bits), whose signs are the code; pixels are (n, S, S, 3) uint8."""
        u: Tensor = self.hash_layer(self.encoder(pixels))
        return u

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Compute the weighted loss terms on one batch, (n, S, S, 3) uint8."""
        with torch.no_grad():
            views = torch.cat([self._views(pixels), self._views(pixels)])
        y, code = binarise(self.encode(views).float())
        a, b = (self._gather(view) for view in code.chunk(2))
        return {
            "contrast": losses.info_nce(a, b, self.temperature),
            "quantisation": 0.1 * losses.quantisation(y, code),
            "balance": 0.1 * losses.balance(y),
            "decorrelation": 0.1 * losses.decorrelation(y),
        }
