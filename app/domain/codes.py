"""Binary codes: conversion between signs, uint64 words, little-endian bytes and hex; Hamming distance."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_BITS: Final = 512
WORD_BITS: Final = 64


def check_bits(bits: int) -> int:
    """Return ``bits`` if a code may have that length.

    Raises:
        ValueError: ``bits`` is not a multiple of 8 between 8 and 512.
    """
    if bits < 8 or bits > MAX_BITS or bits % 8:
        raise ValueError(f"a code has a multiple of 8 bits, 8 to {MAX_BITS}; got {bits}")
    return bits


def words_for(bits: int) -> int:
    """Number of uint64 words that hold a code of ``bits`` bits: ceil(bits / 64)."""
    return -(-check_bits(bits) // WORD_BITS)


def pack_signs(y: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Convert real-valued hash-layer outputs to packed binary codes.

    Bit ``j`` of a code is bit ``j % 64`` of word ``j // 64`` and is set where ``y >= 0``,
    so ``sign(0)`` counts as +1. Bits past the code length are zero in every code.

    Args:
        y: Hash-layer outputs, shape (n, bits), float32; ``bits`` a multiple of 8, at most 512.

    Returns:
        Codes, shape (n, ceil(bits / 64)), uint64, C-contiguous.

    Raises:
        ValueError: ``y`` is not two-dimensional, has an unsupported number of bits, or holds NaN.

    Source: the paper's Eq. 5, h = sign(tanh(Wz + b)); tanh keeps the sign, so it is left out.
    """
    if y.ndim != 2:
        raise ValueError(f"y has shape (n, bits); got {y.ndim} dimensions")
    words = words_for(y.shape[1])
    if np.isnan(y).any():
        raise ValueError("y holds NaN")
    packed = np.packbits(y >= 0, axis=1, bitorder="little")  # (n, bits / 8)
    padded = np.zeros((y.shape[0], words * 8), dtype=np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view("<u8").astype(np.uint64, copy=False)


def unpack_signs(codes: NDArray[np.uint64], bits: int) -> NDArray[np.int8]:
    """Convert packed codes to signs.

    Args:
        codes: Shape (n, ceil(bits / 64)), uint64.
        bits: Code length.

    Returns:
        Signs, shape (n, bits), int8, each -1 or +1.
    """
    octets = np.ascontiguousarray(codes.astype("<u8")).view(np.uint8)
    signs: NDArray[np.int8] = np.where(
        np.unpackbits(octets, axis=1, bitorder="little")[:, :bits], 1, -1
    ).astype(np.int8)
    return signs


def codes_to_bytes(codes: NDArray[np.uint64], bits: int) -> list[bytes]:
    """Convert codes to the stored form: bits / 8 little-endian bytes per code.

    Args:
        codes: Shape (n, ceil(bits / 64)), uint64.
        bits: Code length.
    """
    octets = np.ascontiguousarray(codes.astype("<u8")).view(np.uint8)[:, : bits // 8]
    return [row.tobytes() for row in octets]


def codes_from_bytes(stored: bytes, bits: int) -> NDArray[np.uint64]:
    """Inverse of ``codes_to_bytes`` for any number of concatenated codes.

    Args:
        stored: n * bits / 8 bytes.
        bits: Code length.

    Returns:
        Codes, shape (n, ceil(bits / 64)), uint64.

    Raises:
        ValueError: ``stored`` is not a whole number of codes.
    """
    width = check_bits(bits) // 8
    if len(stored) % width:
        raise ValueError(f"{len(stored)} bytes are not a whole number of {width}-byte codes")
    octets = np.frombuffer(stored, dtype=np.uint8).reshape(-1, width)
    padded = np.zeros((octets.shape[0], words_for(bits) * 8), dtype=np.uint8)
    padded[:, :width] = octets
    return padded.view("<u8").astype(np.uint64, copy=False)


def code_to_hex(code: NDArray[np.uint64], bits: int) -> str:
    """Hex of the little-endian bytes of one code, shape (words,)."""
    return codes_to_bytes(code.reshape(1, -1), bits)[0].hex()


def code_from_hex(text: str, bits: int) -> NDArray[np.uint64]:
    """Inverse of ``code_to_hex``.

    Returns:
        Code, shape (words,), uint64.

    Raises:
        ValueError: ``text`` is not hex of exactly bits / 8 bytes.
    """
    stored = bytes.fromhex(text) if text.isascii() and text.split() == [text] else b""
    if len(stored) != check_bits(bits) // 8:
        raise ValueError(f"a code of {bits} bits is {bits // 4} hex digits")
    code: NDArray[np.uint64] = codes_from_bytes(stored, bits)[0]
    return code


def hamming(codes: NDArray[np.uint64], query: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Hamming distance of each code to one query.

    Args:
        codes: Shape (n, words), uint64.
        query: Shape (words,), uint64.

    Returns:
        Distances, shape (n,), int64.
    """
    distances: NDArray[np.int64] = np.bitwise_count(codes ^ query).sum(axis=1, dtype=np.int64)
    return distances
