"""The rule for copies: it compares the perceptual hashes and descriptors of two pictures."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

NO_DISTANCE: Final = 256
"""Stands for a distance beyond all bounds of a rule, and for a missing hash."""


@dataclass(frozen=True, slots=True)
class CopyRule:
    """Bounds on the distances of two pictures; the nearer the hashes, the farther the descriptors may be.

    A pair counts as copies if its hashes are within ``sure_hash_distance``, or if its descriptors are within
    ``sure_descriptor_distance``, or if the hashes are within ``max_hash_distance`` and the descriptors within
    ``descriptor_base - descriptor_slope * hash distance``. Hashes are compared in all orientations.
    """

    max_hash_distance: int
    sure_hash_distance: int
    descriptor_base: float
    descriptor_slope: float
    sure_descriptor_distance: float
    max_code_distance: int
    """Pairs beyond this distance of codes whose hashes are far apart are skipped."""
    false_pairs: float
    """Measured share of pairs of different photographs that the rule takes for copies."""

    def are_copies(
        self, hash_distances: NDArray[np.int64], descriptor_distances: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return which pairs are copies, shape (n,).

        Args:
            hash_distances: Smallest distance over all orientations; ``NO_DISTANCE`` where a hash is missing.
            descriptor_distances: 1 - cosine similarity; 2 where a descriptor is missing.
        """
        bound = self.descriptor_base - self.descriptor_slope * hash_distances
        by_both = (hash_distances <= self.max_hash_distance) & (descriptor_distances <= bound)
        found: NDArray[np.bool_] = (
            by_both
            | (hash_distances <= self.sure_hash_distance)
            | (descriptor_distances <= self.sure_descriptor_distance)
        )
        return found
