"""A table of the report, with measurements and claims."""

from dataclasses import dataclass, field
from typing import Any

NOT_RUN = "not run"
Pair = tuple[float, float] | tuple[str, str]
"""mAP and P@100."""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One line of a table."""

    label: str
    values: tuple[float | str | None, ...]
    claim: bool = False
    """Whether the line is a claim of the paper."""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A titled table with an explanation."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[ReportRow, ...]
    words: str
    cells: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    """Results behind the rows, for plots."""


def figures_of(result: dict[str, Any]) -> Pair:
    """Extract mAP and P@100 from a result, or ``NOT_RUN`` if there is none yet."""
    if "map_all" not in result:
        return NOT_RUN, NOT_RUN
    return result["map_all"], result["precision_at_100"]


def mean_figures(results: list[dict[str, Any]]) -> Pair:
    """Mean mAP and P@100 over the finished seeds."""
    finished = [result for result in results if "map_all" in result]
    if not finished:
        return NOT_RUN, NOT_RUN
    maps, precisions = zip(*((r["map_all"], r["precision_at_100"]) for r in finished), strict=True)
    return sum(maps) / len(finished), sum(precisions) / len(finished)
