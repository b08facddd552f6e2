"""Any torchvision classification network by name, with its published weights."""

from typing import Final

import torch
from torch import Tensor, nn

from app.learning.nn.encoders.base import PictureEncoder

HEADS: Final = ("fc", "classifier", "heads", "head")
"""Attribute names of the last layer in torchvision's networks."""
MEAN: Final = (0.485, 0.456, 0.406)
DEVIATION: Final = (0.229, 0.224, 0.225)


class TorchvisionEncoder(PictureEncoder):
    """A network without its classifier, with the pixel normalisation that its weights expect."""

    def __init__(self, model: str, input_size: int, *, weights: str | None = "DEFAULT") -> None:
        """Load the network; published weights are downloaded on first use.

        Args:
            model: A name that ``torchvision.models.get_model`` knows.
            input_size: Side of its input, in pixels.
            weights: Name of the published weights; None keeps the random initialisation.

        Raises:
            ValueError: torchvision has no such network, or it does not end in a known classifier.
        """
        super().__init__()
        from torchvision.models import get_model  # noqa: PLC0415 - slow to import, and only this encoder needs it

        self.name, self.input_size = f"torchvision:{model}", input_size
        self.network = get_model(model, weights=weights)
        head = next((name for name in HEADS if hasattr(self.network, name)), None)
        if head is None:
            raise ValueError(f"{model} has none of the last layers {', '.join(HEADS)}")
        setattr(self.network, head, nn.Identity())
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", 255 * torch.tensor(DEVIATION).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)
        self.dim = self(torch.zeros(1, input_size, input_size, 3, dtype=torch.uint8)).shape[1]

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pictures, (n, S, S, 3) uint8 to (n, d) float32."""
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.deviation
        features: Tensor = self.network(x).flatten(1)
        return features
