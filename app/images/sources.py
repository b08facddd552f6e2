"""Prepare a file for its decoder, by format."""

from collections.abc import Callable
from typing import Final

from app.domain.errors import ImageTooManyPixels, NotAnImage
from app.images.containers.bmff import brands_of, with_major_brand, without_exif
from app.images.containers.jpeg import read_jpeg
from app.images.containers.jxl import size_of_jxl
from app.images.containers.png import read_png
from app.images.containers.source import Source
from app.images.containers.tiff import read_tiff
from app.images.containers.webp import read_webp
from app.images.formats import AVIF, HEIF, JPEG, JPEG_XL, PNG, TIFF, WEBP, PictureFormat
from app.images.sniff import Limits

_DECODER_BRANDS: Final = {
    AVIF: (b"avif", frozenset({b"avif", b"avis", b"mif1", b"msf1"})),
    HEIF: (
        b"heic",
        frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1"}),
    ),
}
"""For each format, a major brand that decoders accept, and all that they accept."""


def source_of(content: bytes, kind: PictureFormat, limits: Limits, on_need: Callable[[int], None]) -> Source:
    """Return the input of a format's decoder.

    Args:
        content: The file.
        kind: Its format.
        limits: Decoding limits.
        on_need: Called with about how many bytes of memory the samples take, before they are read here.

    Raises:
        UnsupportedFormat: This variant of the format is not decoded.
        ImageTooManyPixels: The file declares more pixels than the limit.
        NotAnImage: The file is damaged.
        Exception: Any other exception means that the file is damaged, too.
    """
    if kind is JPEG:
        return read_jpeg(content, max_scans=limits.max_scans)
    if kind is PNG:
        return read_png(content)
    if kind is WEBP:
        return read_webp(content)
    if kind is TIFF:
        return read_tiff(content, limits.max_pixels_of(kind), on_need)
    if kind in _DECODER_BRANDS:
        brand, known = _DECODER_BRANDS[kind]
        if brands_of(content)[0] not in known:
            content = with_major_brand(content, brand)
        return Source(without_exif(content))
    if kind is JPEG_XL:
        _check_size_of_jxl(content, limits)
    return Source(content)


def _check_size_of_jxl(content: bytes, limits: Limits) -> None:
    size = size_of_jxl(content)
    if size is None:
        raise NotAnImage("JPEG XL data, damaged or truncated")
    check_pixels(*size, limits.max_pixels_of(JPEG_XL))


def check_pixels(width: int, height: int, most: int) -> None:
    """Refuse a picture with too many pixels.

    Raises:
        ImageTooManyPixels: The picture has more than ``most`` pixels.
    """
    if width * height > most:
        raise ImageTooManyPixels(
            f"the picture has {width} × {height} pixels; at most {most:,} are decoded "
            "(LOOKALIKE_MAX_PIXELS raises the limit)"
        )
