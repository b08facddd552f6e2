"""Encoders by name."""

from app.learning.nn.encoders.base import PictureEncoder
from app.learning.nn.encoders.efficientnet_lite import VARIANTS, load_efficientnet_lite
from app.learning.nn.encoders.torchvision_model import TorchvisionEncoder


def load_encoder(name: str, input_size: int) -> PictureEncoder:
    """Load a pretrained encoder, frozen and with normalisations folded where possible.

    Args:
        name: ``efficientnet_lite0``, ``1`` or ``2``, or ``torchvision:`` and the name of a torchvision network.
        input_size: Side of the input, in pixels.

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
    raise ValueError(f"no encoder is called {name}; use efficientnet_lite0, 1 or 2, or torchvision:NAME")
