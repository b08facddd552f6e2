"""Identify a file by its content, and check limits cheaply before any decoder runs."""

from dataclasses import dataclass

from app.domain.errors import ImageTooLarge, ImageTooManyScans
from app.images.containers.jpeg import parse_jpeg
from app.images.formats import JPEG, PictureFormat, identify


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of files that are decoded."""

    max_bytes: int = 20_000_000
    """Maximum size of the file."""
    max_pixels: int = 40_000_000
    """Maximum width × height; some formats allow a multiple (see ``PictureFormat.pixel_allowance``)."""
    max_scans: int = 64
    """Maximum scans of a progressive JPEG; each costs a pass over the whole picture."""

    def max_pixels_of(self, kind: PictureFormat) -> int:
        """Return the maximum number of pixels for a format."""
        return int(self.max_pixels * kind.pixel_allowance)


@dataclass(frozen=True, slots=True)
class Sniffed:
    """Format and media type of a file, by its content."""

    format: PictureFormat
    media_type: str


def sniff(content: bytes, limits: Limits) -> Sniffed:
    """Return the format of a file that may be decoded.

    Raises:
        ImageTooLarge: The file is larger than the limit.
        NotAnImage: The format is unknown.
        UnsupportedFormat: The format is known but not decoded.
        ImageTooManyScans: The file is a JPEG with more scans than the limit.
    """
    if len(content) > limits.max_bytes:
        raise ImageTooLarge(
            f"the file has {len(content):,} bytes; at most {limits.max_bytes:,} are accepted "
            "(LOOKALIKE_MAX_UPLOAD_BYTES raises the limit)"
        )
    found, media_type = identify(content)
    if found is JPEG and parse_jpeg(content, max_scans=limits.max_scans).scans > limits.max_scans:
        raise ImageTooManyScans(
            f"the JPEG has more than {limits.max_scans} scans (LOOKALIKE_MAX_SCANS raises the limit)"
        )
    return Sniffed(found, media_type)
