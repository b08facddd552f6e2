"""The paper's encoder: three convolutions and a dense latent z, from 32×32 pixels in [0, 1]."""

from typing import Final

from torch import Tensor, nn

from app.learning.nn.encoders.base import PictureEncoder

CHANNELS: Final = (32, 64, 128)
"""Not given in the paper; doubling from 32 was usual for such networks."""
LATENT: Final = 128
"""d; not given in the paper."""


class PaperEncoder(PictureEncoder):
    """Three 3×3 convolutions of stride 2 with ReLU, and a dense layer to z."""

    name = "paper"
    input_size = 32

    def __init__(self, latent: int = LATENT) -> None:
        super().__init__()
        self.dim = latent
        steps: list[nn.Module] = []
        for channels_in, channels_out in zip((3, *CHANNELS), CHANNELS, strict=False):
            steps += [nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1), nn.ReLU()]
        self.convolutions = nn.Sequential(*steps)
        self.dense = nn.Linear(CHANNELS[-1] * 4 * 4, latent)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pictures, (n, 32, 32, 3) uint8 to z (n, d) float32."""
        x = pixels.permute(0, 3, 1, 2).float() / 255.0  # (n, 3, 32, 32)
        z: Tensor = self.dense(self.convolutions(x).flatten(1))
        return z
