"""Read the orientation from an EXIF block."""

import struct
from typing import Final

_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_MOST_ENTRIES: Final = 512


def orientation_of(block: bytes) -> int:
    """Return the orientation of an EXIF block, 1 to 8; 1 if it is missing or invalid.

    Ignores XMP, as browsers do: editors leave stale values there.

    Args:
        block: A TIFF header and its directory, with or without the ``Exif`` prefix.
    """
    if block.startswith(b"Exif\0"):
        block = block[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(block[:4]))
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, at)
        for i in range(min(count, _MOST_ENTRIES)):
            tag, kind, values, value = struct.unpack_from(f"{order}HHIH", block, at + 2 + 12 * i)
            if tag == _ORIENTATION:
                return int(value) if kind == _SHORT and values == 1 and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
