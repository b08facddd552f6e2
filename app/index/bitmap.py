"""Bitmaps with one bit per row, 64 rows per uint64 word: deleted rows, and rows that a filter excludes.

The bits of published rows never change. Bits past the last row are set, so a row is excluded until something
admits it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Bitmap = NDArray[np.uint64]
Rows = NDArray[np.int64]

_ROWS_PER_WORD: Final = 64


def words_for_rows(rows: int) -> int:
    """Number of words for ``rows`` bits: ceil(rows / 64)."""
    return -(-rows // _ROWS_PER_WORD)


def all_set(rows: int) -> Bitmap:
    """A bitmap for at least ``rows`` rows, every bit set."""
    return np.full(words_for_rows(rows), ~np.uint64(0))


def all_clear(rows: int) -> Bitmap:
    """A bitmap for at least ``rows`` rows, every bit clear."""
    return np.zeros(words_for_rows(rows), np.uint64)


def pack_flags(flags: NDArray[np.bool_]) -> Bitmap:
    """Pack ``flags``, shape (rows,), into a bitmap; bits past the last flag are set."""
    octets = np.full(words_for_rows(len(flags)) * 8, 255, np.uint8)
    whole = np.packbits(flags, bitorder="little")
    octets[: len(whole)] = whole
    if len(flags) % 8:
        octets[len(whole) - 1] |= 255 << len(flags) % 8 & 255
    return octets.view("<u8").astype(np.uint64, copy=False)


def set_rows(bitmap: Bitmap, rows: Rows) -> None:
    """Set the bits of ``rows`` in place."""
    np.bitwise_or.at(bitmap, rows >> 6, _bits(rows))


def clear_rows(bitmap: Bitmap, rows: Rows) -> None:
    """Clear the bits of ``rows`` in place."""
    np.bitwise_and.at(bitmap, rows >> 6, ~_bits(rows))


def is_set(bitmap: Bitmap, rows: Rows) -> NDArray[np.bool_]:
    """Whether the bit of each of ``rows`` is set, shape (len(rows),)."""
    set_bits: NDArray[np.bool_] = (bitmap[rows >> 6] & _bits(rows)) != 0
    return set_bits


def clear_count(bitmap: Bitmap, rows: int) -> int:
    """Number of clear bits among the first ``rows``."""
    whole, rest = divmod(rows, _ROWS_PER_WORD)
    set_bits = int(np.bitwise_count(bitmap[:whole]).sum(dtype=np.int64))
    if rest:
        set_bits += (int(bitmap[whole]) & ((1 << rest) - 1)).bit_count()
    return rows - set_bits


def unpack_flags(bitmap: Bitmap, rows: int) -> NDArray[np.bool_]:
    """Unpack the first ``rows`` bits, shape (rows,)."""
    octets = np.ascontiguousarray(bitmap.astype("<u8", copy=False)).view(np.uint8)
    return np.unpackbits(octets, bitorder="little", count=rows).view(np.bool_)


def grown(bitmap: Bitmap, rows: int) -> Bitmap:
    """Copy a bitmap with room for ``rows`` rows; the new bits are set."""
    larger = all_set(rows)
    larger[: len(bitmap)] = bitmap
    return larger


def _bits(rows: Rows) -> Bitmap:
    return np.left_shift(np.uint64(1), (rows & 63).astype(np.uint64))
