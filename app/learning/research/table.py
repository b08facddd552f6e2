"""A table of the report, with measurements and claims."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from app.learning.evaluation.bootstrap import interval_of_runs
from app.learning.evaluation.retrieval import Evaluation

NOT_RUN: Final = "not run"
NO_LABELS: Final = "none"
ENCODER_LABELS: Final = "ImageNet"
"""Labels seen by methods on features of a pretrained encoder, which learned ImageNet's kinds from labels."""
TUNED_LABELS: Final = "ImageNet, validation part"
"""The same, with settings that were chosen by the labels of a validation part of the gallery."""
MEASURES: Final = ("mAP", "95 % interval", "P@10", "P@100", "distinct codes", "runs")
"""Columns of ``Measurement.values``."""
COLUMNS: Final = ("", "labels seen", "bits", *MEASURES)
"""Columns of a table of retrieval figures."""

Value = float | str | None


def stored_figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return figures for a cell, with the average precision and the P@10 of each query."""
    return {
        **evaluation.as_dict(),
        "average_precisions": np.round(evaluation.average_precisions, 4).tolist(),
        "precisions_at_10": np.round(evaluation.precisions_at_10, 4).tolist(),
    }


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """Figures of one or several runs on the same queries.

    Attributes:
        runs_ap: Average precision of each run and query, shape (r, q); no rows if nothing was run.
        runs_p10: The same of P@10.
        precision_at_100: Mean over queries and runs.
        distinct: Number of distinct codes in the gallery, mean over the runs; None for features.
        map_of_runs: mAP of each run.
    """

    runs_ap: NDArray[np.float64]
    runs_p10: NDArray[np.float64]
    precision_at_100: float
    distinct: float | None
    map_of_runs: tuple[float, ...]

    @classmethod
    def of(cls, *results: dict[str, Any]) -> Self:
        """Combine results of ``stored_figures``; unfinished ones are left out."""
        finished = [result for result in results if "map_all" in result]
        if not finished:
            return cls(np.empty((0, 0)), np.empty((0, 0)), 0.0, None, ())
        distinct = [result["bits"]["distinct"] for result in finished if result.get("bits")]
        return cls(
            np.array([result["average_precisions"] for result in finished]),
            np.array([result["precisions_at_10"] for result in finished]),
            float(np.mean([result["precision_at_100"] for result in finished])),
            float(np.mean(distinct)) if distinct else None,
            tuple(result["map_all"] for result in finished),
        )

    @property
    def was_run(self) -> bool:
        """Whether there is any finished run."""
        return bool(self.map_of_runs)

    @property
    def map_all(self) -> float:
        """Mean average precision over queries and runs."""
        return float(self.runs_ap.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of the mAP over queries and runs."""
        return interval_of_runs(self.runs_ap)

    @property
    def precision_at_10(self) -> float:
        """Mean P@10 over queries and runs."""
        return float(self.runs_p10.mean())

    @property
    def values(self) -> tuple[Value, ...]:
        """Values of a row, by ``MEASURES``."""
        if not self.was_run:
            return (NOT_RUN,) * len(MEASURES)
        return (
            self.map_all,
            shown_interval(self.interval),
            self.precision_at_10,
            self.precision_at_100,
            None if self.distinct is None else f"{self.distinct:,.0f}",
            self._runs,
        )

    @property
    def _runs(self) -> str:
        count = len(self.map_of_runs)
        return f"{count}, sd {np.std(self.map_of_runs, ddof=1):.3f}" if count > 1 else str(count)


def shown_interval(interval: tuple[float, float]) -> str:
    """Write an interval as in ``0.495–0.525``."""
    return "{:.3f}–{:.3f}".format(*interval)


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One line of a table."""

    label: str
    values: tuple[Value, ...]
    claim: bool = False
    """Whether the line is a claim of the paper."""


def claim_row(label: str, bits: int | None, map_all: float, precision_at_100: float | None) -> ReportRow:
    """Return a claim as a row of a table with ``COLUMNS``."""
    return ReportRow(
        f"{label}: the paper's claim",
        (NO_LABELS, bits, map_all, None, None, precision_at_100, None, None),
        claim=True,
    )


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A titled table with an explanation."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[ReportRow, ...]
    words: str
    """How the table was measured."""
    conclusions: Sequence[str] = ()
    """Sentences that follow from the figures."""
    cells: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    """Results behind the rows, for plots."""
