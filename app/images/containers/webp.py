"""WebP chunks: keep pixels and animation, and read the metadata."""

import struct
from typing import Final

from app.images.containers.exif import orientation_of
from app.images.containers.source import Source

_HEADER: Final = 12
_METADATA_FLAGS: Final = 0x20 | 0x08 | 0x04
"""Flags of the extended header for profile, EXIF and XMP."""
_KEPT: Final = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})


def read_webp(content: bytes) -> Source:
    """Return the decoder input of a WebP; inconsistent files are returned unchanged."""
    kept: list[bytes] = []
    orientation, profile = 1, None
    at = _HEADER
    end = min(len(content), 8 + int.from_bytes(content[4:8], "little"))
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", content, at)
        following = at + 8 + length
        if following > len(content):
            if kind in _KEPT:
                return Source(content)
            break
        body = content[at + 8 : following]
        if kind == b"VP8X" and length >= 1:
            body = bytes([body[0] & ~_METADATA_FLAGS]) + body[1:]
        if kind in _KEPT:
            kept.append(struct.pack("<4sI", kind, length) + body + b"\0" * (length % 2))
        elif kind == b"EXIF":
            orientation = orientation_of(body)
        elif kind == b"ICCP":
            profile = body
        at = following + length % 2
    chunks = b"".join(kept)
    head = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP"
    return Source(head + chunks, orientation=orientation, icc_profile=profile)
