"""Encoders by name."""

from app.learning.nn.encoders.base import PictureEncoder
from app.learning.nn.encoders.efficientnet_lite import VARIANTS, load_efficientnet_lite
from app.learning.nn.encoders.torchvision_model import TorchvisionEncoder


def load_encoder(name: str, input_size: int) -> PictureEncoder:
    """A pretrained encoder, frozen, ready to export.

    Args:
        name: ``efficientnet_lite0``, ``1`` or ``2``, or ``torchvision:`` and a network of torchvision's.
        input_size: Side of its input, in pixels.

    Raises:
        ValueError: No encoder has that name.
    """
    for variant in VARIANTS:
        if name == f"efficientnet_lite{variant}":
            encoder = load_efficientnet_lite(variant, input_size)
            encoder.fold()
            return encoder
    if name.startswith("torchvision:"):
        return TorchvisionEncoder(name.removeprefix("torchvision:"), input_size)
    raise ValueError(f"no encoder is called {name}")
