"""PNG chunks: keep those with pixel data, and read those that affect how the picture looks."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from app.images.containers.exif import orientation_of
from app.images.containers.source import Source

_SIGNATURE: Final = 8
_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"})
_ANCILLARY: Final = 0x20
"""Bit of a chunk type's first letter."""
_READ: Final = frozenset({b"eXIf", b"iCCP", b"gAMA", b"sRGB", b"cICP"})
_MOST_PROFILE_BYTES: Final = 4_000_000
_USUAL_GAMMA: Final = 0.45455
_MOST_GAMMA_ERROR: Final = 0.02
_GAMMAS: Final = (0.1, 2.0)
"""Range of plausible gamma values; others are ignored."""


def read_png(content: bytes) -> Source:
    """Return the decoder input of a PNG; drop damaged ancillary chunks, as libpng does."""
    kept = [content[:_SIGNATURE]]
    metadata: dict[bytes, bytes] = {}
    end = _SIGNATURE
    kind = b""
    for kind, start, end in _chunks(content):
        body = content[start + 8 : end - 4]
        is_intact = zlib.crc32(content[start + 4 : end - 4]) == int.from_bytes(content[end - 4 : end], "big")
        if kind in _KEPT and (is_intact or not kind[0] & _ANCILLARY):
            kept.append(content[start:end])
        elif is_intact and kind in _READ:
            metadata.setdefault(kind, body)
    if kind != b"IEND":
        # The last chunk is truncated: the decoder decides whether enough data is present.
        kept.append(content[end:])
    profile = _profile_of(metadata.get(b"iCCP", b""))
    has_space = profile is not None or b"sRGB" in metadata or b"cICP" in metadata
    return Source(
        b"".join(kept),
        orientation=orientation_of(metadata.get(b"eXIf", b"")),
        icc_profile=profile,
        gamma=None if has_space else _gamma_of(metadata.get(b"gAMA", b"")),
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of each complete chunk, up to the end chunk."""
    at = _SIGNATURE
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if end > len(content):
            return
        yield kind, at, end
        if kind == b"IEND":
            return
        at = end


def _gamma_of(body: bytes) -> float | None:
    """Return a plausible declared gamma that differs from sRGB's, or None."""
    gamma = int.from_bytes(body[:4], "big") / 100_000
    is_plausible = _GAMMAS[0] <= gamma <= _GAMMAS[1]
    return gamma if is_plausible and abs(gamma - _USUAL_GAMMA) > _MOST_GAMMA_ERROR else None


def _profile_of(body: bytes) -> bytes | None:
    _, _, packed = body.partition(b"\0")
    if not packed:
        return None
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], _MOST_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if unpacker.eof else None
