"""Interpret distances with a model's calibration."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from app.domain.copies import NO_DISTANCE, CopyRule

SORTS: Final = ("copies", "same_kind", "unrelated")
"""Types of measured pairs: copies of one picture, pictures of the same kind, pictures of different kinds."""


MAX_DESCRIPTOR_DISTANCE: Final = 0.15
"""Descriptor distance up to which near pictures count as copies of each other.

Measured with the distance of ``Calibration.duplicates``: see docs/research/learning.md, "Duplicates".
"""


COPY_RULE: Final = CopyRule(
    max_hash_distance=88,
    sure_hash_distance=32,
    descriptor_base=0.28,
    descriptor_slope=0.0025,
    sure_descriptor_distance=0.06,
    max_code_distance=0,
    false_pairs=1e-5,
)
"""Chosen on half of Caltech-101: see docs/research/copies.md."""
COPY_RULE_WITHOUT_DESCRIPTORS: Final = replace(
    COPY_RULE, max_hash_distance=48, sure_hash_distance=48, sure_descriptor_distance=-1.0
)
"""For models without descriptors: the hashes alone."""


@dataclass(frozen=True, slots=True)
class DuplicateBounds:
    """The bounds of duplicates; a pair must satisfy both."""

    max_distance: int
    """Largest distance of the codes of a pair."""
    max_descriptor_distance: float | None
    """Largest distance of the descriptors of a pair; None if the model has no descriptors."""


class Likeness(StrEnum):
    """The most likely relation of two pictures at some distance."""

    EXACT = "exact"
    """The same file."""
    COPY = "copy"
    """Closer than 95 % of the pairs of the same kind: most likely an edited copy."""
    SIMILAR = "similar"
    """Closer than 99 % of the unrelated pairs: most likely of the same kind."""
    UNCLEAR = "unclear"
    """Closer than 75 % of the unrelated pairs: possibly by chance."""
    UNRELATED = "unrelated"
    """As distant as unrelated pictures usually are."""


@dataclass(frozen=True)
class Calibration:
    """Quantiles of distances between pictures with a known relation."""

    measured_on: str
    quantiles: Mapping[str, Mapping[int, float]]
    """For each of ``SORTS``, distance quantiles by percent of pairs."""
    copies_by_edit: Mapping[str, Mapping[int, float]]
    """Distance quantiles of copies by percent of pairs, for each edit."""
    has_descriptors: bool

    @classmethod
    def of(cls, document: Mapping[str, Any], *, has_descriptors: bool) -> Self | None:
        """Parse the calibration of a model's document; None if it is missing or has another format.

        Args:
            document: The calibration, as the model's document contains it.
            has_descriptors: Whether the model has descriptors.
        """
        measured = document.get("quantiles")
        if not isinstance(measured, Mapping) or not set(SORTS) <= measured.keys():
            return None
        quantiles = {sort: _by_percent(measured[sort]) for sort in SORTS}
        if not {5} <= quantiles["same_kind"].keys() or not {1, 25} <= quantiles["unrelated"].keys():
            return None
        return cls(
            measured_on=str(document.get("collection", "")),
            quantiles=quantiles,
            copies_by_edit={
                edit: _by_percent(of) for edit, of in sorted(document.get("copies_by_edit", {}).items())
            },
            has_descriptors=has_descriptors,
        )

    @cached_property
    def bounds(self) -> Mapping[Likeness, int]:
        """Largest distance for each likeness except the last, ascending."""
        copy = int(self.quantiles["same_kind"][5])
        similar = max(copy, int(self.quantiles["unrelated"][1]) - 1)
        unclear = max(similar, int(self.quantiles["unrelated"][25]) - 1)
        return {Likeness.COPY: copy, Likeness.SIMILAR: similar, Likeness.UNCLEAR: unclear}

    @cached_property
    def duplicates(self) -> DuplicateBounds:
        """The bounds of duplicates: three quarters of the measured copies are within ``max_distance``.

        Without descriptors to tell look-alikes from copies, half of them are. At most the bound of ``similar``.
        """
        copies = self.quantiles["copies"]
        usual = copies.get(50, self.bounds[Likeness.COPY])
        distance = copies.get(75, usual) if self.has_descriptors else usual
        return DuplicateBounds(
            min(int(distance), self.bounds[Likeness.SIMILAR]),
            MAX_DESCRIPTOR_DISTANCE if self.has_descriptors else None,
        )

    @cached_property
    def copy_rule(self) -> CopyRule:
        """The rule for copies, whose bounds do not depend on the model except where its codes are compared."""
        return replace(
            COPY_RULE if self.has_descriptors else COPY_RULE_WITHOUT_DESCRIPTORS,
            max_code_distance=self.duplicates.max_distance,
        )

    def likeness_of(self, distance: int) -> Likeness:
        """Return the likeness of two pictures at a distance."""
        for likeness, bound in self.bounds.items():
            if distance <= bound:
                return likeness
        return Likeness.UNRELATED

    def likeness_by_rule(
        self, distance: int, hash_distance: int | None, descriptor_distance: float | None
    ) -> Likeness:
        """Return ``copy`` if the rule for copies says so, otherwise at most ``similar`` by the codes' distance.

        Args:
            distance: Distance of the codes.
            hash_distance: Distance of the perceptual hashes in the nearest orientation; None without one of
                them, so that only equal files are copies.
            descriptor_distance: 1 - cosine similarity; None if a descriptor is missing.
        """
        [likeness] = self.likenesses_by_rule(
            np.array([distance]),
            np.array([NO_DISTANCE if hash_distance is None else hash_distance]),
            np.array([2.0 if descriptor_distance is None else descriptor_distance]),
        )
        return likeness

    def likenesses_by_rule(
        self,
        distances: NDArray[np.int64],
        hash_distances: NDArray[np.int64],
        descriptor_distances: NDArray[np.float64],
    ) -> list[Likeness]:
        """Return the likeness of several pairs, as ``likeness_by_rule`` does.

        Args:
            distances: Distances of the codes, shape (n,).
            hash_distances: Shape (n,); ``NO_DISTANCE`` without one of the hashes.
            descriptor_distances: Shape (n,); 2 if a descriptor is missing.
        """
        rule = self.copy_rule
        is_near = (hash_distances <= rule.max_hash_distance) | (distances <= rule.max_code_distance)
        is_copy = (
            (hash_distances < NO_DISTANCE) & is_near & rule.are_copies(hash_distances, descriptor_distances)
        )
        words = [Likeness.SIMILAR, *list(self.bounds)[1:], Likeness.UNRELATED]
        places = np.searchsorted(list(self.bounds.values()), distances)
        return [
            Likeness.COPY if of_copy else words[place]
            for of_copy, place in zip(is_copy.tolist(), places.tolist(), strict=True)
        ]

    def shares_within(self, distance: int) -> dict[str, float]:
        """Return, for each of ``SORTS``, the share of pairs within this distance, between 0 and 1.

        Interpolates between quantiles; 0 below the first and 1 above the last.
        """
        return {sort: _share_within(self.quantiles[sort], distance) for sort in SORTS}


def _by_percent(quantiles: Mapping[str, float]) -> dict[int, float]:
    """Convert ``{"p5": 21.0, …}`` to ``{5: 21.0, …}``, ascending."""
    return dict(sorted((int(name.removeprefix("p")), float(value)) for name, value in quantiles.items()))


def _share_within(quantiles: Mapping[int, float], distance: int) -> float:
    percents, values = list(quantiles), list(quantiles.values())
    i = bisect_right(values, distance)
    if i == 0:
        return 0.0
    if i == len(values):
        return 1.0
    between = (distance - values[i - 1]) / (values[i] - values[i - 1])
    return round((percents[i - 1] + between * (percents[i] - percents[i - 1])) / 100, 4)
