"""Encoders by name."""

from typing import Final

from app.learning.nn.encoders.base import PictureEncoder
from app.learning.nn.encoders.efficientnet_lite import VARIANTS, load_efficientnet_lite
from app.learning.nn.encoders.torchvision_model import TorchvisionEncoder

TORCHVISION: Final = "torchvision:"


def check_encoder(name: str) -> None:
    """Check the name of a pretrained encoder without loading it.

    Raises:
        ValueError: No encoder has that name.
    """
    if name.startswith(TORCHVISION) or name in {f"efficientnet_lite{variant}" for variant in VARIANTS}:
        return
    raise ValueError(f"no encoder is called {name}; use efficientnet_lite0, 1 or 2, or {TORCHVISION}NAME")


def load_encoder(name: str, input_size: int) -> PictureEncoder:
    """Load a pretrained encoder, frozen and with normalisations folded where possible.

    Args:
        name: ``efficientnet_lite0``, ``1`` or ``2``, or ``torchvision:`` and the name of a torchvision network.
        input_size: Side of the input, in pixels.

    Raises:
        ValueError: No encoder has that name.
    """
    check_encoder(name)
    for variant in VARIANTS:
        if name == f"efficientnet_lite{variant}":
            encoder = load_efficientnet_lite(variant, input_size)
            encoder.fold()
            return encoder
    return TorchvisionEncoder(name.removeprefix(TORCHVISION), input_size)
