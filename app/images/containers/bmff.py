"""ISO base media files (AVIF, HEIF, video): the brands they declare and the codings they hold."""

import struct
from typing import Final

_LONGEST_FTYP: Final = 1_024
_META_BYTES: Final = 65_536
"""Descriptions of items stand in the first box behind the brands."""


def brands_of(content: bytes) -> tuple[bytes, ...]:
    """The brands of a file, the major one first; none where it is of another format."""
    if content[4:8] != b"ftyp" or len(content) < 16:
        return ()
    (length,) = struct.unpack_from(">I", content)
    end = min(length, len(content), _LONGEST_FTYP)
    return (content[8:12], *(content[at : at + 4] for at in range(16, end - 3, 4)))


def with_major_brand(content: bytes, brand: bytes) -> bytes:
    """The same file under another major brand, for decoders that look at no other."""
    return content[:8] + brand + content[12:]


def holds_coding(content: bytes, coding: bytes) -> bool:
    """Whether an item of a file is declared to be of a coding, such as ``av01``."""
    return coding in content[:_META_BYTES]


def without_exif(content: bytes) -> bytes:
    """The same file with its EXIF items renamed: what turns these pictures are their own boxes, not EXIF."""
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
