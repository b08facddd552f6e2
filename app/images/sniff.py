"""What a file is, by its content, and whether it is worth decoding: cheap checks before any decoder runs."""

from dataclasses import dataclass
from typing import Final

from app.domain.errors import ImageTooLarge, ImageTooManyScans, NotAnImage


@dataclass(frozen=True, slots=True)
class Limits:
    """What is decoded at most."""

    max_bytes: int = 20_000_000
    """Bytes of the file."""
    max_pixels: int = 40_000_000
    """Width × height of the picture."""
    max_scans: int = 64
    """Scans of a progressive JPEG: each costs a pass over the whole picture, whatever the file's size."""


@dataclass(frozen=True, slots=True)
class Sniffed:
    """A file's format, by its first bytes."""

    format: str
    """The decoder's name for it, such as ``JPEG``."""
    media_type: str


_BY_PREFIX: Final = (
    (b"\xff\xd8\xff", Sniffed("JPEG", "image/jpeg")),
    (b"\x89PNG\r\n\x1a\n", Sniffed("PNG", "image/png")),
    (b"GIF87a", Sniffed("GIF", "image/gif")),
    (b"GIF89a", Sniffed("GIF", "image/gif")),
    (b"BM", Sniffed("BMP", "image/bmp")),
    (b"II*\x00", Sniffed("TIFF", "image/tiff")),
    (b"MM\x00*", Sniffed("TIFF", "image/tiff")),
)
_WEBP: Final = Sniffed("WEBP", "image/webp")
_AVIF: Final = Sniffed("AVIF", "image/avif")
FORMATS: Final = tuple(sorted({s.format for _, s in _BY_PREFIX} | {_WEBP.format, _AVIF.format}))
"""The decoders that may run at all."""


def sniff(content: bytes, limits: Limits) -> Sniffed:
    """Name the format of a file that may be decoded.

    Raises:
        ImageTooLarge: The file has more bytes than are decoded.
        NotAnImage: Its first bytes are of no supported format.
        ImageTooManyScans: It is a JPEG of more scans than are decoded.
    """
    if len(content) > limits.max_bytes:
        raise ImageTooLarge(f"the file has {len(content):,} bytes; at most {limits.max_bytes:,} are accepted")
    found = _format_of(content)
    if found.format == "JPEG":
        scans = count_scans(content, stop_after=limits.max_scans)
        if scans > limits.max_scans:
            raise ImageTooManyScans(f"the JPEG has more than {limits.max_scans} scans")
    return found


def _format_of(content: bytes) -> Sniffed:
    for prefix, found in _BY_PREFIX:
        if content.startswith(prefix):
            return found
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _WEBP
    if content[4:8] == b"ftyp" and content[8:12] in {b"avif", b"avis"}:
        return _AVIF
    raise NotAnImage("the file is empty" if not content else None)


def count_scans(content: bytes, *, stop_after: int) -> int:
    """Start-of-scan markers of a JPEG, counted until there are more than ``stop_after``.

    Inside scan data 0xFF is always followed by 0x00 or a restart marker, so the bytes FF DA mark a scan
    wherever a decoder would look for one; a segment that merely holds these bytes makes the count too high.
    """
    found, place = 0, content.find(b"\xff\xda")
    while place >= 0 and found <= stop_after:
        found += 1
        place = content.find(b"\xff\xda", place + 2)
    return found
