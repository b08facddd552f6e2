"""What stored perceptual hashes would be if their pictures were turned or mirrored, nearly.

Reversing an axis negates the coefficients of its odd frequencies, and exchanging the axes transposes them. The
median moves a little, so some bits differ from the hash of the turned picture (``PerceptualHash.codes``).
"""

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
    """Return hashes (n, 4) in the eight orientations, shape (8 · n, 4); the first n are unchanged."""
    return np.concatenate([turned_hashes(hashes, number) for number in range(1, ORIENTATIONS + 1)])


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
