"""What stored perceptual hashes would be if their pictures were turned or mirrored, nearly.

Reversing an axis negates the coefficients of its odd frequencies, and exchanging the axes transposes them. The
median moves a little, so some bits differ from the hash of the turned picture (``PerceptualHash.codes``).
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import pack_signs, unpack_signs
from app.domain.perceptual import HASH_BITS

ORIENTATIONS: Final = 8
_SIDE: Final = 16
_SIGNS: Final = np.where(np.arange(_SIDE) % 2 == 0, -1, 1).astype(np.int8)
"""The first frequency is the odd one above the mean."""
_CHUNK: Final = 1 << 14


def turned_hashes(hashes: NDArray[np.uint64], orientation: int) -> NDArray[np.uint64]:
    """Return the hashes of the pictures turned as for an EXIF orientation.

    Args:
        hashes: Shape (n, 4), uint64.
        orientation: 1 to 8.
    """
    if orientation == 1:
        return hashes
    parts = [_turned(hashes[start : start + _CHUNK], orientation) for start in range(0, len(hashes), _CHUNK)]
    return np.concatenate(parts) if parts else hashes


def in_all_orientations(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a few hashes (n, 4) in the eight orientations, shape (8 · n, 4); the first n are unchanged."""
    places, flips = _exchanges()
    bits = np.unpackbits(np.ascontiguousarray(hashes, "<u8").view(np.uint8), bitorder="little")
    turned = bits.reshape(-1, HASH_BITS)[:, places] ^ flips  # (n, 8, 256)
    packed = np.packbits(turned.swapaxes(0, 1), axis=2, bitorder="little")
    return packed.view("<u8").astype(np.uint64, copy=False).reshape(-1, HASH_BITS // 64)


@cache
def _exchanges() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return for each orientation which bit comes to each place and whether it is negated, both (8, 256).

    Taken from ``_turned``, which is slower for a few hashes.
    """
    places = np.empty((ORIENTATIONS, HASH_BITS), np.int64)
    flips = np.empty((ORIENTATIONS, HASH_BITS), np.uint8)
    single = np.eye(HASH_BITS, dtype=np.int8) * 2 - 1  # Row j has bit j alone.
    none = np.full((1, HASH_BITS), -1, np.int8)
    for orientation in range(1, ORIENTATIONS + 1):
        zero, ones = (
            unpack_signs(turned_hashes(pack_signs(signs.astype(np.float32)), orientation), HASH_BITS) > 0
            for signs in (none, single)
        )
        flips[orientation - 1] = zero[0]
        # Bit j alone changes the place that it comes to.
        places[orientation - 1] = (ones ^ zero).argmax(axis=0)
    return places, flips


def _turned(hashes: NDArray[np.uint64], orientation: int) -> NDArray[np.uint64]:
    signs = unpack_signs(hashes, HASH_BITS).reshape(-1, _SIDE, _SIDE)
    # Orientations 5 to 8 are these followed by an exchange of rows and columns.
    first = {5: 1, 6: 4, 7: 3, 8: 2}.get(orientation, orientation)
    if first in {2, 3}:
        signs = signs * _SIGNS
    if first in {3, 4}:
        signs = signs * _SIGNS[:, np.newaxis]
    if orientation > 4:
        signs = signs.swapaxes(1, 2)
    # ``pack_signs`` takes 0 for positive, but these are -1 and 1.
    return pack_signs(np.ascontiguousarray(signs).reshape(-1, HASH_BITS).astype(np.float32))
