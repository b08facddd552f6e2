"""Read the size from a JPEG XL header, because its decoder decodes the whole picture at once."""

import struct
from typing import Final

_BOX_SIGNATURE: Final = b"\0\0\0\x0cJXL \r\n\x87\n"
_CODESTREAM: Final = b"\xff\x0a"
_SIZES: Final = (9, 13, 18, 30)
"""Number of bits of a side, by a two-bit selector."""
_RATIOS: Final = ((1, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Aspect ratio by a three-bit field; the first is unused."""


def size_of_jxl(content: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels, before rotation; None if the header is invalid."""
    stream = _codestream(content)
    if stream is None or not stream.startswith(_CODESTREAM):
        return None
    bits = _Bits(stream[2:18])
    if bits.read(1):
        height = 8 * (bits.read(5) + 1)
        ratio = bits.read(3)
        width = 8 * (bits.read(5) + 1) if ratio == 0 else 0
    else:
        height = bits.read(_SIZES[bits.read(2)]) + 1
        ratio = bits.read(3)
        width = bits.read(_SIZES[bits.read(2)]) + 1 if ratio == 0 else 0
    if ratio:
        over, under = _RATIOS[ratio]
        width = height * over // under
    return width, height


def _codestream(content: bytes) -> bytes | None:
    """Return the first bytes of the codestream."""
    if not content.startswith(_BOX_SIGNATURE):
        return content[:32]
    at = 0
    while at + 16 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", content, at + 8)
            head = 16
        if kind == b"jxlc":
            return content[at + head : at + head + 32]
        if kind == b"jxlp":
            return content[at + head + 4 : at + head + 36]
        if length < head:
            return None
        at += length
    return None


class _Bits:
    """Reads numbers from the least significant bit on, as the format packs them."""

    def __init__(self, content: bytes) -> None:
        self._value = int.from_bytes(content, "little")

    def read(self, count: int) -> int:
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value
