"""The paper's network, and the readings of its loss."""

from enum import StrEnum

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from app.learning.nn import losses
from app.learning.nn.decoder import PaperDecoder
from app.learning.nn.encoders.paper import LATENT, PaperEncoder
from app.learning.nn.hash_layer import binarise


class LossReading(StrEnum):
    """A reading of the paper's loss; Eq. 6 and Algorithm 1 compare h (k bits) with tanh(z) (d values)."""

    ALGORITHM_1 = "algorithm_1"
    """Eq. 6 literally, possible only with d = k: the code is sign(z), and tanh(z) is pulled towards it."""
    ALGORITHM_2 = "algorithm_2"
    """The only well-formed reading: y = tanh(Wz + b) is pulled towards sign(y); the decoder sees z."""
    RECONSTRUCTION_ONLY = "reconstruction_only"
    """The first row of Table V: λ = 0."""
    FROM_CODES = "from_codes"
    """Our own: the decoder sees the codes (straight-through), and bits are kept balanced and independent."""


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
            quantisation_weight: λ, not given in the paper.
            latent: d, not given in the paper; k under Algorithm 1.
        """
        super().__init__()
        self.reading, self.bits, self.weight = reading, bits, quantisation_weight
        self.encoder = PaperEncoder(bits if reading is LossReading.ALGORITHM_1 else latent)
        width = self.encoder.dim
        self.hash_layer: nn.Module = nn.Linear(width, bits)
        if reading is LossReading.ALGORITHM_1:
            self.hash_layer = nn.Identity()
        elif reading is LossReading.FROM_CODES:
            # z is not centred, so a freshly initialised W gives nearly all pictures the same code.
            self.hash_layer = nn.Sequential(nn.BatchNorm1d(width, affine=False), nn.Linear(width, bits))
        self.decoder = PaperDecoder(bits if reading is LossReading.FROM_CODES else width)

    def encode(self, pixels: Tensor) -> Tensor:
        """Compute u, shape (n, bits), whose signs are the code; pixels are (n, 32, 32, 3) uint8."""
        u: Tensor = self.hash_layer(self.encoder(pixels))
        return u

    def rebuild(self, pixels: Tensor) -> Tensor:
        """Reconstruct pictures, (n, 3, 32, 32) in [0, 1]."""
        z = self.encoder(pixels)
        seen = binarise(self.hash_layer(z))[1] if self.reading is LossReading.FROM_CODES else z
        rebuilt: Tensor = self.decoder(seen)
        return rebuilt

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Compute the weighted loss terms on one batch, (n, 32, 32, 3) uint8."""
        z = self.encoder(pixels)
        y, code = binarise(self.hash_layer(z))
        target = pixels.permute(0, 3, 1, 2).float() / 255.0
        rebuilt = self.decoder(code if self.reading is LossReading.FROM_CODES else z)
        terms = {"reconstruction": F.mse_loss(rebuilt, target)}
        if self.reading is not LossReading.RECONSTRUCTION_ONLY:
            terms["quantisation"] = self.weight * losses.quantisation(y, code)
        if self.reading is LossReading.FROM_CODES:
            terms["balance"] = 0.1 * losses.balance(y)
            terms["decorrelation"] = 0.01 * losses.decorrelation(y)
        return terms
