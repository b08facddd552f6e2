"""The paper's decoder: a dense layer and three transposed convolutions back to 32×32 pixels."""

from itertools import pairwise

from torch import Tensor, nn

from app.learning.nn.encoders.paper import CHANNELS


class PaperDecoder(nn.Module):
    """The encoder in reverse, with a sigmoid that keeps pixels in [0, 1]."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.dense = nn.Linear(latent, CHANNELS[-1] * 4 * 4)
        widths = (*reversed(CHANNELS), 3)
        steps: list[nn.Module] = []
        for channels_in, channels_out in pairwise(widths):
            steps += [nn.ReLU(), nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1)]
        self.deconvolutions = nn.Sequential(*steps, nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        """Map z (n, d) to pictures (n, 3, 32, 32) in [0, 1]."""
        rebuilt: Tensor = self.deconvolutions(self.dense(z).unflatten(1, (CHANNELS[-1], 4, 4)))
        return rebuilt
