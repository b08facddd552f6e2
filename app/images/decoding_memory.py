"""Estimate the memory that decoding a picture takes, from its header."""

from collections.abc import Mapping
from typing import Final

from PIL import Image

from app.images.formats import (
    AVIF,
    BMP,
    GIF,
    HEIF,
    JPEG,
    JPEG_2000,
    JPEG_XL,
    PNG,
    TIFF,
    WEBP,
    PictureFormat,
)

_PIXEL_BYTES: Final[Mapping[PictureFormat, tuple[int, int]]] = {
    JPEG: (11, 11),
    PNG: (9, 14),
    GIF: (9, 14),
    WEBP: (16, 22),
    BMP: (9, 14),
    TIFF: (12, 16),
    AVIF: (11, 16),
    HEIF: (9, 14),
    JPEG_XL: (11, 16),
}
"""Peak growth of a child's resident memory for each pixel, in bytes, without and with transparency."""
_JPEG_2000_BYTES: Final = 8
"""The same for each sample of a JPEG 2000."""
_DEEP_BYTES: Final = 8
"""More of it for each pixel whose samples are kept in full depth besides."""
_COEFFICIENT_BYTES: Final = 2
"""A progressive JPEG keeps the coefficients of the whole picture, one for each sample."""


def decoding_bytes(kind: PictureFormat, opened: Image.Image, full_size: tuple[int, int], rawmode: str) -> int:
    """Return about how much memory decoding takes, in bytes, beside the file.

    Args:
        kind: The format.
        opened: The picture before it is loaded; its size is that which the decoder returns.
        full_size: Width and height of the picture in the file.
        rawmode: Pillow's raw mode of the file; empty if unknown.
    """
    if kind is JPEG_2000:
        each = _JPEG_2000_BYTES * len(opened.getbands())
    else:
        has_alpha = "A" in opened.mode or "a" in opened.mode or "transparency" in opened.info
        each = _PIXEL_BYTES[kind][has_alpha]
    if opened.mode in {"I", "F"} or ("16" in rawmode and not opened.mode.startswith("I")):
        each += _DEEP_BYTES
    size = each * opened.width * opened.height
    if kind is JPEG and opened.info.get("progressive"):
        size += _COEFFICIENT_BYTES * len(opened.getbands()) * full_size[0] * full_size[1]
    return size
