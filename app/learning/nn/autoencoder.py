"""The paper's network, and the readings of its loss.

The paper sums squared errors: ``loss = Σ (x − x̂)² + λ Σ (h − y)²``, over the 3,072 values of a picture and
the k bits of its code, averaged over the pictures of a batch. λ weighs the two sums. Were both means, the same
λ would weigh quantisation 3,072 / k times as much: .1 would stand for 9.6 at 32 bits.
"""

from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from app.learning.nn import losses
from app.learning.nn.decoder import PaperDecoder
from app.learning.nn.encoders.paper import LATENT, PaperEncoder
from app.learning.nn.hash_layer import binarise


class LossReading(StrEnum):
    """A reading of the paper's method, which its text leaves open; λ weighs sums except in ``FROM_CODES``."""

    ALGORITHM_2 = "algorithm_2"
    """Algorithm 2 as written: y = tanh(Wz + b) is pulled towards h = sign(y), and the decoder sees z."""
    ALGORITHM_2_CENTRED = "algorithm_2_centred"
    """Algorithm 2 with one addition, a batch normalisation of z."""
    ALGORITHM_1 = "algorithm_1"
    """Eq. 6 as written, possible with d = k only: tanh(z) is pulled towards h = sign(tanh(Wz + b)).

    W and b stay as drawn, because no gradient passes the sign.
    """
    DECODER_SEES_CODES = "decoder_sees_codes"
    """Algorithm 2 with z normalised, and a decoder that sees h instead of z (straight-through)."""
    RECONSTRUCTION_ONLY = "reconstruction_only"
    """The first row of Table V: λ = 0."""
    FROM_CODES = "from_codes"
    """Our own: as ``DECODER_SEES_CODES``, with means for sums, and terms that keep bits balanced."""

    @property
    def centres_latent(self) -> bool:
        """Whether z is normalised over the batch."""
        return self in (
            LossReading.ALGORITHM_2_CENTRED,
            LossReading.DECODER_SEES_CODES,
            LossReading.FROM_CODES,
        )

    @property
    def decodes_codes(self) -> bool:
        """Whether the decoder sees codes instead of z."""
        return self in (LossReading.DECODER_SEES_CODES, LossReading.FROM_CODES)


class HashingAutoencoder(nn.Module):
    """Encoder, hash layer, decoder.

    ``forward`` returns the loss terms, ``encode`` the values used for retrieval.
    """

    def __init__(
        self,
        bits: int,
        reading: LossReading = LossReading.ALGORITHM_2,
        *,
        quantisation_weight: float = 0.1,
        latent: int = LATENT,
    ) -> None:
        """Build the network.

        Args:
            bits: k.
            reading: Reading of the loss.
            quantisation_weight: λ, not given in the paper; it weighs sums, except in ``FROM_CODES``.
            latent: d, not given in the paper; k under Algorithm 1.
        """
        super().__init__()
        self.reading, self.bits, self.weight = reading, bits, quantisation_weight
        self.encoder = PaperEncoder(bits if reading is LossReading.ALGORITHM_1 else latent)
        width = self.encoder.dim
        self.hash_layer: nn.Module = nn.Linear(width, bits)
        if reading.centres_latent:
            # z is not centred, so a freshly initialised W gives nearly all pictures the same code.
            # A second draw of W and b, so that paper-32 can be rebuilt byte for byte.
            self.hash_layer = nn.Sequential(nn.BatchNorm1d(width, affine=False), nn.Linear(width, bits))
        self.decoder = PaperDecoder(bits if reading.decodes_codes else width)

    def encode(self, pixels: Tensor) -> Tensor:
        """Compute u, shape (n, bits), whose signs are the code; pixels are (n, 32, 32, 3) uint8."""
        u: Tensor = self.hash_layer(self.encoder(pixels))
        return u

    def rebuild(self, pixels: Tensor) -> Tensor:
        """Reconstruct pictures, (n, 3, 32, 32) in [0, 1]."""
        z, u = self._hashed(pixels)
        rebuilt: Tensor = self.decoder(binarise(u)[1] if self.reading.decodes_codes else z)
        return rebuilt

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Compute the weighted loss terms on one batch, (n, 32, 32, 3) uint8."""
        z, u = self._hashed(pixels)
        y, code = binarise(u)
        target = pixels.permute(0, 3, 1, 2).float() / 255.0
        rebuilt = self.decoder(code if self.reading.decodes_codes else z)
        if self.reading is LossReading.FROM_CODES:
            return {
                "reconstruction": F.mse_loss(rebuilt, target),
                "quantisation": self.weight * losses.quantisation(y, code),
                "balance": 0.1 * losses.balance(y),
                "decorrelation": 0.01 * losses.decorrelation(y),
            }
        terms = {"reconstruction": losses.mean_squared_norm(rebuilt - target)}
        if self.reading is not LossReading.RECONSTRUCTION_ONLY:
            pulled = torch.tanh(z) if self.reading is LossReading.ALGORITHM_1 else y
            terms["quantisation"] = self.weight * losses.mean_squared_norm(pulled - code.detach())
        return terms

    def _hashed(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute z, normalised where the reading says so, and u; the normalisation sees each batch once."""
        z = self.encoder(pixels)
        if self.reading.centres_latent:
            normalise, linear = self.hash_layer
            z = normalise(z)
            return z, linear(z)
        return z, self.hash_layer(z)
