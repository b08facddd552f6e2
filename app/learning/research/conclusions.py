"""Sentences of the report, generated from its figures.

A difference is called one only if the 95 % bootstrap interval of the mean difference over the same queries
excludes zero.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.learning.evaluation.bootstrap import bootstrap_interval
from app.learning.research.table import Measurement

COLLAPSED_SHARE: Final = 0.01
"""Codes are called collapsed if there are fewer distinct ones than this share of the gallery."""


@dataclass(frozen=True, slots=True)
class Named:
    """A measurement with the words that name it in a sentence."""

    name: str
    measured: Measurement


def against_claim(found: Named, claimed: float) -> str | None:
    """Compare the mAP of a measurement with a claim; None if nothing was run."""
    if not found.measured.was_run:
        return None
    low, high = found.measured.interval
    where = "above" if low > claimed else "below" if high < claimed else "not distinguishable from"
    return (
        f"{_sentence_start(found.name)} has mAP {found.measured.map_all:.3f} ({low:.3f} to {high:.3f}), "
        f"{where} the claim of {claimed:.3f}."
    )


def compare_map(found: Named, other: Named) -> str | None:
    """Compare the mAP of two measurements on the same queries; None if one was not run."""
    return _compare(found, other, "mAP", found.measured.average_precisions, other.measured.average_precisions)


def compare_first_ten(found: Named, other: Named) -> str | None:
    """Compare the P@10 of two measurements on the same queries; None if one was not run."""
    return _compare(found, other, "P@10", found.measured.precisions_at_10, other.measured.precisions_at_10)


def _compare(
    found: Named, other: Named, measure: str, ours: NDArray[np.float64], theirs: NDArray[np.float64]
) -> str | None:
    if not (found.measured.was_run and other.measured.was_run):
        return None
    low, high = bootstrap_interval(ours - theirs)
    values = f"{measure} {ours.mean():.3f} against {theirs.mean():.3f}"
    difference = f"difference {ours.mean() - theirs.mean():+.3f}, {low:+.3f} to {high:+.3f}"
    if low > 0:
        said = "is better than"
    elif high < 0:
        said = "is worse than"
    else:
        said = "cannot be told from"
    return f"{_sentence_start(found.name)} {said} {other.name}: {values} ({difference})."


def use_of_codes(found: Named, gallery: int, chance: float) -> str | None:
    """Say whether codes collapsed, and whether they find more than chance; None if nothing was run.

    Args:
        found: Codes of a gallery.
        gallery: Number of pictures in it.
        chance: mAP of one code for all pictures.
    """
    measured = found.measured
    if not measured.was_run or measured.distinct is None:
        return None
    low, high = measured.interval
    state = "collapses to" if measured.distinct < COLLAPSED_SHARE * gallery else "keeps"
    codes = "one code" if measured.distinct == 1 else f"{measured.distinct:,.0f} distinct codes"
    gain = "finds more than" if low > chance else "finds no more than"
    return (
        f"{_sentence_start(found.name)} {state} {codes} for {gallery:,} pictures; with mAP "
        f"{measured.map_all:.4f} ({low:.4f} to {high:.4f}) it {gain} one code for all pictures would "
        f"({chance:.4f})."
    )


def largest(found: list[Named], what: str) -> str | None:
    """Name the measurement with the highest mAP; None if nothing was run."""
    finished = [one for one in found if one.measured.was_run]
    if not finished:
        return None
    best = max(finished, key=lambda one: one.measured.map_all)
    low, high = best.measured.interval
    return f"The highest mAP {what} is {best.measured.map_all:.3f} ({low:.3f} to {high:.3f}), of {best.name}."


def ordered_around(reference: Named, others: list[Named]) -> str | None:
    """List which measurements are above, below and not distinguishable from a reference, by mAP."""
    if not reference.measured.was_run:
        return None
    groups: dict[str, list[str]] = {"above": [], "below": [], "not distinguishable from": []}
    for other in others:
        if not other.measured.was_run:
            continue
        low, high = bootstrap_interval(
            other.measured.average_precisions - reference.measured.average_precisions
        )
        where = "above" if low > 0 else "below" if high < 0 else "not distinguishable from"
        groups[where].append(f"{other.name} ({other.measured.map_all:.3f})")
    parts = [f"{where} it: {', '.join(names)}" for where, names in groups.items() if names]
    if not parts:
        return None
    return f"Against {reference.name} (mAP {reference.measured.map_all:.3f}), {'; '.join(parts)}."


def _sentence_start(name: str) -> str:
    # Names of methods keep their spelling.
    return name if "_" in name.partition(" ")[0] or name.startswith("itq") else name[:1].upper() + name[1:]
