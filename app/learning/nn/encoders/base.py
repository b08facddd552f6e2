"""What every encoder offers, and where pretrained weights say they come from."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Origin and licence of weights that were not trained here."""

    package: str
    version: str
    file: str
    sha256: str
    licence: str
    trained_on: str
    source: str

    def as_dict(self) -> dict[str, str]:
        """The form that model.json keeps."""
        return asdict(self)


def pretrained_from_package(
    package: str, weights: Path, *, licence: str, trained_on: str, source: str
) -> Pretrained:
    """Name the weights file of an installed package by version and sha256."""
    return Pretrained(
        package=package,
        version=metadata.version(package),
        file=weights.name,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        licence=licence,
        trained_on=trained_on,
        source=source,
    )


class PictureEncoder(nn.Module, ABC):
    """Pictures to features; the normalisation of pixels is part of the module, and so of its ONNX graph.

    Attributes:
        name: How recipes and model.json call the encoder.
        input_size: Side S of the square pictures that it takes, in pixels.
        dim: Number of features d.
        pretrained: Origin of the weights, or None where they were trained here.
    """

    name: str
    input_size: int
    dim: int
    pretrained: Pretrained | None = None

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pictures.

        Args:
            pixels: Shape (n, S, S, 3), uint8, RGB.

        Returns:
            Features, shape (n, d), float32.
        """
