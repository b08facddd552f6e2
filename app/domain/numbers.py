"""Compare numbers in metadata and filters by exact value, regardless of their JSON form.

JSON parsers return a number without fraction and exponent as an integer, and any other as a double. Two numbers
are equal if their values are: 1 equals 1.0, 0 equals -0.0, but 2**53 does not equal 2**53 + 1.
"""

import math
import struct
import sys
from typing import Final

Number = int | float

_LARGEST: Final = int(sys.float_info.max)
_SIGN: Final = 1 << 63
_ALL: Final = (1 << 64) - 1


def in_range(number: Number) -> bool:
    """Return whether a number is finite and its magnitude is at most the largest double, about 1.8e308."""
    return abs(number) <= _LARGEST if isinstance(number, int) else math.isfinite(number)


def canonical(number: Number) -> Number:
    """Return the same representation for all equal numbers: a double if it is exact, otherwise an integer.

    ``number`` must be in range.
    """
    as_float = float(number)
    return (as_float or 0.0) if as_float == number else number


def order_key(number: Number) -> bytes:
    """Return bytes that sort in numeric order in every database.

    The first eight bytes encode the largest double not above the number. For an integer between two doubles,
    the distance from the lower one follows: one byte for its length, then the distance in big-endian bytes.

    Args:
        number: A number in range.

    Returns:
        Between 8 and 131 bytes.
    """
    lower = float(number)
    if lower > number:
        lower = math.nextafter(lower, -math.inf)
    key = struct.pack(">Q", _sortable(lower or 0.0))
    if lower == number:
        return key
    distance = int(number) - int(lower)
    octets = distance.to_bytes((distance.bit_length() + 7) // 8, "big")
    return key + bytes([len(octets)]) + octets


def _sortable(number: float) -> int:
    """Return the bits of a double as an unsigned integer that sorts in numeric order."""
    bits: int = struct.unpack(">Q", struct.pack(">d", number))[0]
    return bits ^ _ALL if bits & _SIGN else bits | _SIGN
