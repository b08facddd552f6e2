"""Bitmaps of rows, 64 a uint64 word: which are deleted, which a filter leaves out.

A published bitmap never changes for the rows that its readers know. Bits of rows that are still to come are
set: a row that nobody has decided about is left out.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Bitmap = NDArray[np.uint64]
Rows = NDArray[np.int64]

_ROWS_PER_WORD: Final = 64


def words_for_rows(rows: int) -> int:
    """Words that hold a bit for each of ``rows`` rows: ceil(rows / 64)."""
    return -(-rows // _ROWS_PER_WORD)


def all_set(rows: int) -> Bitmap:
    """A bitmap of at least ``rows`` rows, every bit set."""
    return np.full(words_for_rows(rows), ~np.uint64(0))


def all_clear(rows: int) -> Bitmap:
    """A bitmap of at least ``rows`` rows, no bit set."""
    return np.zeros(words_for_rows(rows), np.uint64)


def packed(flags: NDArray[np.bool_]) -> Bitmap:
    """A bitmap with the bits of ``flags``, shape (rows,); bits past the last are set."""
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
    """How many of the first ``rows`` bits are clear."""
    whole, rest = divmod(rows, _ROWS_PER_WORD)
    set_bits = int(np.bitwise_count(bitmap[:whole]).sum(dtype=np.int64))
    if rest:
        set_bits += (int(bitmap[whole]) & ((1 << rest) - 1)).bit_count()
    return rows - set_bits


def unpacked(bitmap: Bitmap, rows: int) -> NDArray[np.bool_]:
    """The first ``rows`` bits as flags, shape (rows,)."""
    octets = np.ascontiguousarray(bitmap.astype("<u8", copy=False)).view(np.uint8)
    return np.unpackbits(octets, bitorder="little", count=rows).view(np.bool_)


def grown(bitmap: Bitmap, rows: int) -> Bitmap:
    """A copy with room for ``rows`` rows; new bits are set."""
    larger = all_set(rows)
    larger[: len(bitmap)] = bitmap
    return larger


def _bits(rows: Rows) -> Bitmap:
    return np.left_shift(np.uint64(1), (rows & 63).astype(np.uint64))
