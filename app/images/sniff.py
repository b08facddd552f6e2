"""What a file is, by its content, and whether it is worth decoding: cheap checks before any decoder runs."""

from dataclasses import dataclass

from app.domain.errors import ImageTooLarge, ImageTooManyScans
from app.images.containers.jpeg import parse_jpeg
from app.images.formats import JPEG, PictureFormat, identify


@dataclass(frozen=True, slots=True)
class Limits:
    """What is decoded at most."""

    max_bytes: int = 20_000_000
    """Bytes of the file."""
    max_pixels: int = 40_000_000
    """Width × height of the picture; formats that are reduced while decoding may have several times more."""
    max_scans: int = 64
    """Scans of a progressive JPEG: each costs a pass over the whole picture, whatever the file's size."""

    def max_pixels_of(self, kind: PictureFormat) -> int:
        """Most pixels of a picture of one format."""
        return int(self.max_pixels * kind.pixel_allowance)


@dataclass(frozen=True, slots=True)
class Sniffed:
    """A file's format, by its content."""

    format: PictureFormat
    media_type: str


def sniff(content: bytes, limits: Limits) -> Sniffed:
    """Name the format of a file that may be decoded.

    Raises:
        ImageTooLarge: The file has more bytes than are decoded.
        NotAnImage: It is of no known format.
        UnsupportedFormat: It is of a known format that is not decoded.
        ImageTooManyScans: It is a JPEG of more scans than are decoded.
    """
    if len(content) > limits.max_bytes:
        raise ImageTooLarge(f"the file has {len(content):,} bytes; at most {limits.max_bytes:,} are accepted")
    found, media_type = identify(content)
    if found is JPEG and parse_jpeg(content, max_scans=limits.max_scans).scans > limits.max_scans:
        raise ImageTooManyScans(f"the JPEG has more than {limits.max_scans} scans")
    return Sniffed(found, media_type)
