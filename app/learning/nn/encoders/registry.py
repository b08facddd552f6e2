"""Encoders by name."""

from app.learning.nn.encoders.base import PictureEncoder
from app.learning.nn.encoders.efficientnet_lite import VARIANTS, load_efficientnet_lite


def load_encoder(name: str, input_size: int) -> PictureEncoder:
    """An encoder with its published weights, frozen, normalisations folded, ready to export.

    Raises:
        ValueError: No encoder has that name.
    """
    for variant in VARIANTS:
        if name == f"efficientnet_lite{variant}":
            encoder = load_efficientnet_lite(variant, input_size)
            encoder.fold()
            return encoder
    raise ValueError(f"no encoder is called {name}")
