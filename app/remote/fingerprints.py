"""Fingerprints of rows, equal in the engine and here, to compare ranges of pictures without fetching them.

A fingerprint mixes the insertion number, the code and the terms of a picture into 64 bits. They find damage and
lost writes; they are no protection against somebody who forges rows.
"""

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.remote.schema import MAX_WORDS, code_columns

_factors = np.random.default_rng(64).integers(1 << 62, 1 << 63, MAX_WORDS + 4).astype(np.uint64) * np.uint64(2)
FACTORS: Final[tuple[int, ...]] = tuple(int(factor) + 1 for factor in _factors)
"""Odd factors of the number, the terms, the sortable numbers, the result, and each word of a code."""
SHIFT: Final = 31


def fingerprint_sql(words: int) -> str:
    """Return the fingerprint of a row with codes of ``words`` words, as SQL of type UInt64."""
    number, terms, ranges, last, *of_words = FACTORS
    parts = [
        f"number * toUInt64({number})",
        f"arraySum(x -> toUInt64(CRC32(x)), terms) * toUInt64({terms})",
        f"arraySum(x -> toUInt64(CRC32(x)), ranges) * toUInt64({ranges})",
    ]
    parts += [
        f"{column} * toUInt64({factor})"
        for column, factor in zip(code_columns(words), of_words[:words], strict=True)
    ]
    mixed = " + ".join(parts)
    return f"bitXor({mixed}, bitShiftRight({mixed}, {SHIFT})) * toUInt64({last})"


def fingerprints(
    numbers: Sequence[int],
    codes: NDArray[np.uint64],
    terms: Sequence[Sequence[str]],
    ranges: Sequence[Sequence[str]],
) -> NDArray[np.uint64]:
    """Return the fingerprints of pictures, shape (n,).

    Args:
        numbers: Insertion numbers, n of them.
        codes: Codes, shape (n, words).
        terms: Terms of each picture.
        ranges: Sortable numbers of each picture.
    """
    factors = np.array(FACTORS, np.uint64)
    number, of_terms, of_ranges, last = factors[:4]
    mixed: NDArray[np.uint64] = np.array(numbers, np.uint64) * number
    mixed += _sums(terms) * of_terms + _sums(ranges) * of_ranges
    mixed += (codes * factors[4 : 4 + codes.shape[1]]).sum(axis=1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(SHIFT)
    mixed *= last
    return mixed


def _sums(texts: Sequence[Sequence[str]]) -> NDArray[np.uint64]:
    return np.array([sum(zlib.crc32(text.encode()) for text in one) for one in texts], np.uint64)
