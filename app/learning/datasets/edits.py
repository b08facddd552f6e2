"""Edited copies of pictures, as people and platforms make them."""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

Pixels = NDArray[np.uint8]
Edit = Callable[[Image.Image, np.random.Generator], Image.Image]


def _jpeg(quality: int) -> Edit:
    def edit(picture: Image.Image, _: np.random.Generator) -> Image.Image:
        written = io.BytesIO()
        picture.save(written, "JPEG", quality=quality)
        with Image.open(written) as again:
            return again.convert("RGB")

    return edit


def _thumbnail(side: int) -> Edit:
    def edit(picture: Image.Image, _: np.random.Generator) -> Image.Image:
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.BILINEAR)
        return small

    return edit


def _crop(area: float) -> Edit:
    """A random window with this share of the area and the picture's proportions."""

    def edit(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = (max(1, round(extent * area**0.5)) for extent in picture.size)
        left = int(rng.integers(picture.width - width + 1))
        top = int(rng.integers(picture.height - height + 1))
        return picture.crop((left, top, left + width, top + height))

    return edit


def _rotate(degrees: float) -> Edit:
    def edit(picture: Image.Image, _: np.random.Generator) -> Image.Image:
        return picture.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=(127, 127, 127))

    return edit


def _mirror(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    return ImageOps.mirror(picture)


def _brightness(factor: float) -> Edit:
    def edit(picture: Image.Image, _: np.random.Generator) -> Image.Image:
        return ImageEnhance.Brightness(picture).enhance(factor)

    return edit


def _saturation(factor: float) -> Edit:
    def edit(picture: Image.Image, _: np.random.Generator) -> Image.Image:
        return ImageEnhance.Color(picture).enhance(factor)

    return edit


EDITS: Final[Mapping[str, Edit]] = MappingProxyType(
    {
        "jpeg_q30": _jpeg(30),
        "jpeg_q10": _jpeg(10),
        "thumbnail_64": _thumbnail(64),
        "crop_80": _crop(0.8),
        "crop_50": _crop(0.5),
        "mirror": _mirror,
        "brightness_1.4": _brightness(1.4),
        "saturation_0.5": _saturation(0.5),
        "rotate_5": _rotate(5),
        "rotate_15": _rotate(15),
    }
)


def edited(pixels: Pixels, edit: str, seed: int) -> Pixels:
    """Return an edited copy, (H, W, 3) uint8; equal seeds crop equal windows.

    Raises:
        KeyError: There is no such edit.
    """
    return np.asarray(EDITS[edit](Image.fromarray(pixels), np.random.default_rng(seed)))
