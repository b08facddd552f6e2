"""A complete model in one graph: encoder, preparation, hash layers of several lengths, descriptor."""

import torch
from torch import Tensor, nn

from app.learning.nn.encoders.base import PictureEncoder
from app.learning.nn.preparation import EPS


class Descriptor(nn.Module):
    """Low-dimensional unit-length features, rounded to int8, for re-ranking what the codes found."""

    def __init__(self, reduce: nn.Module, dim: int, scale: float) -> None:
        """Store the reduction.

        Args:
            reduce: Encoder features (n, d) to (n, dim), for instance a ``FeaturePreparation``.
            dim: Bytes per picture.
            scale: Factor from a component of the unit vector to its int8 value, clipped at ±127.
        """
        super().__init__()
        self.reduce, self.dim, self.scale = reduce, dim, scale

    def forward(self, features: Tensor) -> Tensor:
        """(n, d) features to (n, dim) int8."""
        reduced = self.reduce(features)
        unit = reduced / reduced.norm(dim=1, keepdim=True).clamp(min=EPS)
        return (unit * self.scale).round().clamp(-127, 127).to(torch.int8)


class HashHeads(nn.Module):
    """Maps encoder features (n, d) to y for each code length: the part of a model behind its encoder."""

    def __init__(self, preparation: nn.Module, hash_layers: nn.ModuleDict) -> None:
        super().__init__()
        self.preparation, self.hash_layers = preparation, hash_layers

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Hash features; the outputs are in the order of the hash layers."""
        prepared = self.preparation(features)
        return tuple(layer(prepared) for layer in self.hash_layers.values())


class HashingModel(nn.Module):
    """Maps pictures (n, S, S, 3) uint8 to y for each code length, and optionally to a descriptor.

    Code lengths share the encoder, so that one file serves them all.
    """

    def __init__(
        self,
        encoder: PictureEncoder,
        preparation: nn.Module,
        hash_layers: dict[str, nn.Module],
        descriptor: Descriptor | None = None,
    ) -> None:
        """Assemble the model.

        Args:
            encoder: Pictures to features.
            preparation: Features to prepared features.
            hash_layers: Prepared features to y, by the name of the graph output.
            descriptor: Features to int8, or None.
        """
        super().__init__()
        self.encoder, self.preparation, self.descriptor = encoder, preparation, descriptor
        self.hash_layers = nn.ModuleDict(hash_layers)

    @property
    def heads(self) -> HashHeads:
        """The layers between the features and y."""
        return HashHeads(self.preparation, self.hash_layers)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order in which ``forward`` returns them."""
        return [*self.hash_layers, *(["descriptor"] if self.descriptor is not None else [])]

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Encode pictures; the outputs are those of ``output_names``."""
        features = self.encoder(pixels)
        prepared = self.preparation(features)
        codes = [layer(prepared) for layer in self.hash_layers.values()]
        extra = [self.descriptor(features)] if self.descriptor is not None else []
        return (*codes, *extra)
