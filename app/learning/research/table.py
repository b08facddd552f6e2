"""A table of the report: measured beside claimed."""

from dataclasses import dataclass, field
from typing import Any

NOT_RUN = "not run"
Pair = tuple[float, float] | tuple[str, str]
"""mAP and P@100."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what was run, what it gave, what the paper claims."""

    label: str
    values: tuple[float | str | None, ...]
    claim: bool = False
    """Whether the line is the paper's, not ours."""


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table with words on what it says."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    words: str
    cells: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    """What the rows were made of, for plots."""


def figures_of(result: dict[str, Any]) -> Pair:
    """Pick mAP and P@100 out of an evaluation; say so where there is none yet."""
    if "map_all" not in result:
        return NOT_RUN, NOT_RUN
    return result["map_all"], result["precision_at_100"]


def mean_figures(results: list[dict[str, Any]]) -> Pair:
    """Mean mAP and P@100 over the seeds that were run."""
    there = [result for result in results if "map_all" in result]
    if not there:
        return NOT_RUN, NOT_RUN
    maps, precisions = zip(*((r["map_all"], r["precision_at_100"]) for r in there), strict=True)
    return sum(maps) / len(there), sum(precisions) / len(there)
