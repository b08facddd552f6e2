"""Measure how well codes use their bits: balance, correlation, collisions."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import unpack_signs


@dataclass(frozen=True, slots=True)
class BitUse:
    """How well the codes of a gallery use their bits."""

    balance: float
    """Mean over bits of \\|mean sign\\|: 0 if each bit is set in half of the pictures, 1 if no bit varies."""
    correlation: float
    """Mean \\|Pearson correlation\\| over pairs of bits; a constant bit correlates with no other."""
    distinct: int
    """Number of distinct codes."""
    collisions: float
    """Share of pictures whose code occurs more than once."""

    def as_dict(self) -> dict[str, float]:
        """Rounded to what a table shows."""
        return {key: round(value, 4) for key, value in asdict(self).items()}


def bit_use(codes: NDArray[np.uint64], bits: int) -> BitUse:
    """Measure the codes of a gallery.

    Args:
        codes: Shape (n, words), uint64, n ≥ 1.
        bits: Code length, at least 2.
    """
    signs = unpack_signs(codes, bits).astype(np.float64)
    means = signs.mean(axis=0)
    deviations = np.sqrt(1 - means**2)  # of ±1 values
    covariance = signs.T @ signs / len(signs) - np.outer(means, means)
    spread = np.outer(deviations, deviations)
    correlation = np.divide(covariance, spread, out=np.zeros_like(covariance), where=spread > 0)
    pairs = ~np.eye(bits, dtype=np.bool_)
    _, counts = np.unique(codes, axis=0, return_counts=True)
    return BitUse(
        balance=float(np.abs(means).mean()),
        correlation=float(np.abs(correlation[pairs]).mean()),
        distinct=len(counts),
        collisions=float(counts[counts > 1].sum() / len(codes)),
    )
