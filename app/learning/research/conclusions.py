"""Sentences of the report, generated from its figures.

A difference is called one only if the 95 % bootstrap interval of the mean difference over the same queries,
and over the runs of both sides, excludes zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.learning.evaluation.bootstrap import interval_of_runs
from app.learning.research.table import Measurement

COLLAPSED_SHARE: Final = 0.01
"""Codes are called collapsed if there are fewer distinct ones than this share of the gallery."""


@dataclass(frozen=True, slots=True)
class Named:
    """A measurement with the words that name it in a sentence."""

    name: str
    measured: Measurement


ROUNDING: Final = 5e-5
"""Largest error of a stored figure of a query."""
ENCODER: Final = "its encoder learned ImageNet's kinds from labels, the paper's did not"

ByLength = Mapping[int, Measurement]
"""Measurements of one method by code length."""


def against_claim(found: Named, claimed: float, *, is_pretrained: bool = True) -> str | None:
    """Compare the mAP of a measurement with a claim; None if nothing was run.

    Args:
        found: The measurement.
        claimed: The paper's mAP.
        is_pretrained: Whether the encoder learned from ImageNet's labels.
    """
    if not found.measured.was_run:
        return None
    measured, remark = found.measured, f"; {ENCODER}" if is_pretrained else ""
    return (
        f"{_sentence_start(found.name)} has mAP {measured.map_all:.3f} ({_interval(measured)}), "
        f"{_place(measured.interval, claimed)} the claim of {claimed:.3f}{remark}."
    )


def against_claims(name: str, found: ByLength, claimed: Mapping[int, float]) -> str | None:
    """Compare the mAP of a method on pretrained features with the claims by code length; None for none."""
    groups: dict[str, list[str]] = {}
    for bits, measured in found.items():
        if bits in claimed and measured.was_run:
            shown = f"{bits} bits ({measured.map_all:.3f}, {_interval(measured)}, claimed {claimed[bits]:.3f})"
            groups.setdefault(_place(measured.interval, claimed[bits]), []).append(shown)
    if not groups:
        return None
    parts = [f"{where} the claim with {_listed(lengths)}" for where, lengths in groups.items()]
    return f"The mAP of {name} is {'; '.join(parts)}; {ENCODER}."


def first_ten_by_length(name: str, found: ByLength, reference: Named) -> str | None:
    """Compare the P@10 of a method with a reference for each code length; None if nothing was run."""
    if not reference.measured.was_run:
        return None
    groups: dict[str, list[str]] = {}
    for bits, measured in found.items():
        if not measured.was_run:
            continue
        low, high = interval_of_runs(measured.runs_p10, reference.measured.runs_p10)
        difference = measured.precision_at_10 - reference.measured.precision_at_10
        shown = f"{bits} bits ({difference:+.3f}, {low:+.3f} to {high:+.3f})"
        groups.setdefault(_place((low, high), 0), []).append(shown)
    if not groups:
        return None
    parts = [f"{where} that of {reference.name} with {_listed(lengths)}" for where, lengths in groups.items()]
    return f"The P@10 of {name} is {'; '.join(parts)}."


def compare_map(found: Named, other: Named) -> str | None:
    """Compare the mAP of two measurements on the same queries; None if one was not run."""
    return _compare(found, other, "mAP", found.measured.runs_ap, other.measured.runs_ap)


def compare_first_ten(found: Named, other: Named) -> str | None:
    """Compare the P@10 of two measurements on the same queries; None if one was not run."""
    return _compare(found, other, "P@10", found.measured.runs_p10, other.measured.runs_p10)


def _compare(
    found: Named, other: Named, measure: str, ours: NDArray[np.float64], theirs: NDArray[np.float64]
) -> str | None:
    if not (found.measured.was_run and other.measured.was_run):
        return None
    low, high = interval_of_runs(ours, theirs)
    return (
        f"The {measure} of {found.name} is {_place((low, high), 0)} that of {other.name}: {ours.mean():.3f} "
        f"against {theirs.mean():.3f} (difference {ours.mean() - theirs.mean():+.3f}, {low:+.3f} to "
        f"{high:+.3f})."
    )


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
    state = "collapses to" if measured.distinct < COLLAPSED_SHARE * gallery else "has"
    codes = "one code" if measured.distinct == 1 else f"{measured.distinct:,.0f} distinct codes"
    gain = "finds more than" if low > chance + ROUNDING else "finds no more than"
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
        interval = interval_of_runs(other.measured.runs_ap, reference.measured.runs_ap)
        groups[_place(interval, 0)].append(f"{other.name} ({other.measured.map_all:.3f})")
    parts = [f"{where} it: {', '.join(names)}" for where, names in groups.items() if names]
    if not parts:
        return None
    return f"Against {reference.name} (mAP {reference.measured.map_all:.3f}), {'; '.join(parts)}."


def _place(interval: tuple[float, float], reference: float) -> str:
    low, high = interval
    return "above" if low > reference else "below" if high < reference else "not distinguishable from"


def _interval(measured: Measurement) -> str:
    return "{:.3f} to {:.3f}".format(*measured.interval)


def _listed(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _sentence_start(name: str) -> str:
    # Names of methods keep their spelling.
    return name if "_" in name.partition(" ")[0] or name.startswith("itq") else name[:1].upper() + name[1:]
