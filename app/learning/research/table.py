"""A table of the report: measured beside claimed."""

from dataclasses import dataclass, field
from typing import Any


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


def figures_of(result: dict[str, Any]) -> tuple[float, float]:
    """Pick mAP and P@100 out of an evaluation."""
    return result["map_all"], result["precision_at_100"]


def mean_figures(results: list[dict[str, Any]]) -> tuple[float, float]:
    """Mean mAP and P@100 over seeds."""
    pairs = [figures_of(result) for result in results]
    return sum(p[0] for p in pairs) / len(pairs), sum(p[1] for p in pairs) / len(pairs)
