"""Scale decoded pictures to encoder inputs, in the same way for queries, indexing and training."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Fit(StrEnum):
    """How a picture of any shape becomes a square."""

    SQUASH = "squash"
    """Both sides are scaled to S; proportions change, nothing is cropped."""
    LETTERBOX = "letterbox"
    """The long side is scaled to S, the rest is filled with grey."""
    CROP = "crop"
    """The short side is scaled to S, and the centre is kept."""


class Resample(StrEnum):
    """The resampling filter, antialiased when it shrinks."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


FILTERS: Final = {
    Resample.BILINEAR: Image.Resampling.BILINEAR,
    Resample.BICUBIC: Image.Resampling.BICUBIC,
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes the input of an encoder; part of a model's identity."""

    input_size: int
    """Side S of the encoder's input, in pixels."""
    fit: Fit = Fit.SQUASH
    resample: Resample = Resample.BILINEAR
    fill: int = 127
    """Grey level around a letterboxed picture, 0–255."""


def prepare(pixels: NDArray[np.uint8], how: Preprocessing) -> NDArray[np.uint8]:
    """Scale one decoded, upright picture to an encoder's input.

    Args:
        pixels: Shape (H, W, 3), uint8, RGB.
        how: Size, fit and filter, from the model's artifact.

    Returns:
        Shape (S, S, 3), uint8, RGB, C-contiguous. Normalisation happens inside the encoder's graph.

    Raises:
        ValueError: ``pixels`` is not an RGB picture of at least 1×1.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0 or pixels.dtype != np.uint8:
        raise ValueError(f"a picture is (H, W, 3) uint8; got {pixels.shape} {pixels.dtype}")
    side = how.input_size
    picture = Image.fromarray(pixels)
    if how.fit is Fit.SQUASH:
        return np.asarray(picture.resize((side, side), FILTERS[how.resample]))
    if how.fit is Fit.CROP:
        # Crop before scaling: the scaled long side of a very long picture would take much memory.
        short = min(picture.size)
        left, top = ((extent - short) / 2 for extent in picture.size)
        box = (left, top, left + short, top + short)
        return np.asarray(picture.resize((side, side), FILTERS[how.resample], box=box))
    scale = side / max(picture.size)
    width, height = (max(1, round(extent * scale)) for extent in picture.size)
    scaled = np.asarray(picture.resize((width, height), FILTERS[how.resample]))
    square = np.full((side, side, 3), how.fill, dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = scaled
    return square
