"""Interpret distances by a model's calibration."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

SORTS: Final = ("copies", "same_kind", "unrelated")
"""Sorts of measured pairs: edited copies of one picture, pictures of one kind, pictures of two kinds."""


class Likeness(StrEnum):
    """The most likely relation of two pictures at some distance."""

    EXACT = "exact"
    """The same file."""
    COPY = "copy"
    """Nearer than 95 % of the pairs of one kind: most likely one picture, edited."""
    SIMILAR = "similar"
    """Nearer than 99 % of the unrelated pairs: most likely of one kind."""
    UNCLEAR = "unclear"
    """Nearer than three quarters of the unrelated pairs: may be chance."""
    UNRELATED = "unrelated"
    """As far apart as unrelated pictures usually are."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Quantiles of distances between pictures with a known relation."""

    measured_on: str
    quantiles: Mapping[str, Mapping[int, float]]
    """For each of ``SORTS``, the distance by percent of pairs at most that far apart."""
    copies_by_edit: Mapping[str, Mapping[int, float]]
    """The same for copies, by edit."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self | None:
        """Parse the calibration in a model's document; None if it has none of this form."""
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
        )

    @property
    def bounds(self) -> Mapping[Likeness, int]:
        """Largest distance of each likeness except the last, ascending."""
        copy = int(self.quantiles["same_kind"][5])
        similar = max(copy, int(self.quantiles["unrelated"][1]) - 1)
        unclear = max(similar, int(self.quantiles["unrelated"][25]) - 1)
        return {Likeness.COPY: copy, Likeness.SIMILAR: similar, Likeness.UNCLEAR: unclear}

    def likeness_of(self, distance: int) -> Likeness:
        """Likeness of two pictures at a distance."""
        for likeness, bound in self.bounds.items():
            if distance <= bound:
                return likeness
        return Likeness.UNRELATED

    def shares_within(self, distance: int) -> dict[str, float]:
        """For each sort of pairs, the share at most this far apart, between 0 and 1.

        Interpolated between quantiles; 0 below the first and 1 above the last.
        """
        return {sort: _share_within(self.quantiles[sort], distance) for sort in SORTS}


def _by_percent(quantiles: Mapping[str, float]) -> dict[int, float]:
    """``{"p5": 21.0, …}`` as ``{5: 21.0, …}``, ascending."""
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
