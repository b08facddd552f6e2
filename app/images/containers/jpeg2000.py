"""Read the main header of a JPEG 2000 codestream."""

import struct
from typing import Final

_START: Final = b"\xff\x4f\xff\x51"
"""Start of codestream, followed by the sizes of the picture."""
_SIZES: Final = struct.Struct(">HHIIIIIIIIH")
"""Length, capabilities, four pairs of sizes and offsets, and the number of components."""
_CODING_STYLE: Final = 0x52
_START_OF_TILE: Final = 0x90
_LEVELS_OFFSET: Final = 9
"""Offset of the number of decomposition levels within a coding style segment, marker included."""


def halvings_of(content: bytes) -> int:
    """Return how often a decoder can halve the picture.

    Returns:
        The number of decomposition levels; 0 if the components differ in size or the picture has an offset,
        whose rounding decoders disagree about.
    """
    start = content.find(_START)
    if start < 0 or len(content) < start + len(_START) + _SIZES.size:
        return 0
    sizes: tuple[int, ...] = _SIZES.unpack_from(content, start + len(_START))
    length, _, _, _, x, y, _, _, _, _, components = sizes
    at = start + len(_START) + _SIZES.size
    sampling = content[at : at + 3 * components]
    if x or y or set(sampling[1::3]) | set(sampling[2::3]) != {1}:
        return 0
    at = start + len(_START) + length
    while at < len(content) - _LEVELS_OFFSET and content[at] == 0xFF and content[at + 1] != _START_OF_TILE:
        if content[at + 1] == _CODING_STYLE:
            return content[at + _LEVELS_OFFSET]
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return 0
