"""Codes, deltas and answers for the tests of the index."""

import numpy as np

from app.domain.codes import words_for
from app.index.collection_index import IndexDelta
from tests.oracles.hamming import as_integer

NONE = np.empty(0, np.int64)


def words_of(codes, bits):
    """Python integers as an array of words, shape (n, words)."""
    octets = b"".join(code.to_bytes(words_for(bits) * 8, "little") for code in codes)
    return np.frombuffer(octets, "<u8").reshape(-1, words_for(bits)).astype(np.uint64)


def random_codes(rng, n, bits):
    """Shape (n, words), bits past the length zero."""
    signs = rng.integers(0, 2, (n, words_for(bits) * 64), dtype=np.uint8)
    signs[:, bits:] = 0
    return np.packbits(signs, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def numbers_of(values):
    return np.array(sorted(values), np.int64)


def delta_of(version, bits, put=None, deleted=(), touched=(), matches=None):
    """A delta of a mapping of numbers to codes, deleted numbers, and numbers touched besides."""
    put = dict(sorted((put or {}).items()))
    return IndexDelta(
        version=version,
        put_numbers=numbers_of(put),
        put_codes=words_of(put.values(), bits),
        deleted_numbers=numbers_of(deleted),
        touched_numbers=numbers_of({*put, *deleted, *touched}),
        filter_matches={key: numbers_of(numbers) for key, numbers in (matches or {}).items()},
    )


def pairs(found):
    """An answer as (distance, number) pairs."""
    return list(zip(found.distances.tolist(), found.numbers.tolist(), strict=True))


def integers(codes):
    return [as_integer(row) for row in codes]
