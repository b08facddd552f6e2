"""Numbers of metadata and filters: equal and ordered by exact value, whatever their JSON form was.

JSON readers make a number without fraction and exponent an integer, and every other number a double. Two
numbers are equal if they have the same value: 1 and 1.0 are, 0 and -0.0 are, 2**53 and 2**53 + 1 are not.
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
    """Whether a number is finite and no larger than the largest double, about 1.8e308."""
    return abs(number) <= _LARGEST if isinstance(number, int) else math.isfinite(number)


def canonical(number: Number) -> Number:
    """The form that all equal numbers share: a double where one has that value, else an integer.

    ``number`` must be in range.
    """
    as_float = float(number)
    return (as_float or 0.0) if as_float == number else number


def order_key(number: Number) -> bytes:
    """Bytes that compare as the numbers do, in every database.

    The largest double that is not above the number comes first, in eight bytes that sort as doubles do.
    An integer that lies between two doubles is followed by its distance from the lower one: one byte for the
    length, then the distance in big-endian bytes.

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
    """The bits of a double as an unsigned integer that sorts as the doubles do."""
    bits: int = struct.unpack(">Q", struct.pack(">d", number))[0]
    return bits ^ _ALL if bits & _SIGN else bits | _SIGN
