"""ISO base media files (AVIF, HEIF, video): their brands and codecs."""

import struct
from typing import Final

_LONGEST_FTYP: Final = 1_024
_META_BYTES: Final = 65_536
"""Item descriptions are in the first box after the brands."""


def brands_of(content: bytes) -> tuple[bytes, ...]:
    """Return the brands of a file, the major one first; empty for other formats."""
    if content[4:8] != b"ftyp" or len(content) < 16:
        return ()
    (length,) = struct.unpack_from(">I", content)
    end = min(length, len(content), _LONGEST_FTYP)
    return (content[8:12], *(content[at : at + 4] for at in range(16, end - 3, 4)))


def with_major_brand(content: bytes, brand: bytes) -> bytes:
    """Return the file with another major brand, for decoders that ignore the other brands."""
    return content[:8] + brand + content[12:]


def holds_coding(content: bytes, coding: bytes) -> bool:
    """Return whether an item of the file declares a codec, such as ``av01``."""
    return coding in content[:_META_BYTES]


def without_exif(content: bytes) -> bytes:
    """Return the file with its EXIF items renamed: these formats declare rotation in boxes, not in EXIF."""
    at = 0
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if length < 8:
            return content
        if kind == b"meta":
            meta = content[at : at + length]
            return content[:at] + meta.replace(b"Exif", b"free") + content[at + length :]
        at += length
    return content
