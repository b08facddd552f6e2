"""The interface of encoders, and the origin of pretrained weights."""

import hashlib
from abc import ABC, abstractmethod
from importlib import metadata
from pathlib import Path

from torch import Tensor, nn

from app.encoding.manifest import PretrainedSpec


def pretrained_from_package(
    package: str, weights: Path, *, licence: str, trained_on: str, source: str
) -> PretrainedSpec:
    """Describe the weights file of an installed package by version and SHA-256."""
    return PretrainedSpec(
        package=package,
        version=metadata.version(package),
        file=weights.name,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        licence=licence,
        trained_on=trained_on,
        source=source,
    )


class PictureEncoder(nn.Module, ABC):
    """Maps pictures to features; pixel normalisation is part of the module and thus of its ONNX graph.

    Attributes:
        name: Name in recipes and model.json.
        input_size: Side S of the square input, in pixels.
        dim: Number of features d.
        pretrained: Origin of the weights, or None if they were trained here.
    """

    name: str
    input_size: int
    dim: int
    pretrained: PretrainedSpec | None = None

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pictures.

        Args:
            pixels: Shape (n, S, S, 3), uint8, RGB.

        Returns:
            Features, shape (n, d), float32.
        """
