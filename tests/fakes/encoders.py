"""An encoder that needs no model: the code is drawn from the mean colours of a grid."""

import numpy as np

from app.encoding.encoder import EncoderOutput
from app.encoding.preprocess import Preprocessing, prepare


class ColourEncoder:
    """Pictures of like colours in like places get near codes; deterministic and instant.

    y is a fixed random projection of the mean colours of a 4×4 grid, so that any code length works.
    """

    def __init__(
        self,
        name: str = "colour-64",
        *,
        bits: int = 64,
        input_size: int = 16,
        descriptor_dim: int | None = None,
    ) -> None:
        self.name = name
        self.bits = bits
        self.input_size = input_size
        self.descriptor_dim = descriptor_dim
        self.digest = f"{name}:{bits}:{input_size}:{descriptor_dim}"
        rng = np.random.default_rng(bits)
        self._planes = rng.standard_normal((48, bits)).astype(np.float32)
        self._directions = rng.standard_normal((48, descriptor_dim or 0)).astype(np.float32)

    def prepare(self, pixels):
        return prepare(pixels, Preprocessing(self.input_size))

    def encode(self, batch):
        side = self.input_size
        if batch.dtype != np.uint8 or batch.shape[1:] != (side, side, 3):
            raise ValueError(f"a batch is (n, {side}, {side}, 3) uint8; got {batch.shape} {batch.dtype}")
        y = np.empty((len(batch), self.bits), np.float32)
        descriptor = np.empty((len(batch), self.descriptor_dim or 0), np.int8)
        for i, picture in enumerate(batch):
            colours = picture.reshape(4, side // 4, 4, side // 4, 3).mean(axis=(1, 3), dtype=np.float32)
            features = colours.reshape(48) / np.float32(127.5) - 1
            y[i] = features @ self._planes
            descriptor[i] = np.clip(features @ self._directions * 16, -127, 127).astype(np.int8)
        return EncoderOutput(y, descriptor if self.descriptor_dim else None)
