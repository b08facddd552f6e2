"""What distances mean: a model's own measurements turned into words and shares."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

SORTS: Final = ("copies", "same_kind", "unrelated")
"""Pairs that a model is measured on: edited copies of one picture, pictures of one kind, of two kinds."""


class Likeness(StrEnum):
    """What two pictures at some distance most likely are to each other."""

    EXACT = "exact"
    """The same file."""
    COPY = "copy"
    """Nearer than all but 5 % of the pairs of one kind: most likely one picture, edited."""
    SIMILAR = "similar"
    """Nearer than all but 1 % of the unrelated pairs: most likely of one kind."""
    UNCLEAR = "unclear"
    """Nearer than three quarters of the unrelated pairs: it may be chance."""
    UNRELATED = "unrelated"
    """As far apart as unrelated pictures are."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Quantiles of the distances between pictures whose relation is known."""

    measured_on: str
    quantiles: Mapping[str, Mapping[int, float]]
    """For each of ``SORTS``, distances by percent of the pairs that are at most so far apart."""
    copies_by_edit: Mapping[str, Mapping[int, float]]
    """The same for copies, by how they were edited."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self | None:
        """The calibration in a model's document; None where it has none of this form."""
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
        """The largest distance of each likeness but the last, ascending."""
        copy = int(self.quantiles["same_kind"][5])
        similar = max(copy, int(self.quantiles["unrelated"][1]) - 1)
        unclear = max(similar, int(self.quantiles["unrelated"][25]) - 1)
        return {Likeness.COPY: copy, Likeness.SIMILAR: similar, Likeness.UNCLEAR: unclear}

    def likeness_of(self, distance: int) -> Likeness:
        """What a distance means."""
        for likeness, bound in self.bounds.items():
            if distance <= bound:
                return likeness
        return Likeness.UNRELATED

    def shares_within(self, distance: int) -> dict[str, float]:
        """For each sort of pairs, the share that is at most so far apart, between 0 and 1.

        Between two quantiles it is interpolated, below the first and above the last it is 0 and 1.
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
