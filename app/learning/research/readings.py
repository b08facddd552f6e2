"""The paper's method, trained under each reading of its text."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from app.learning.evaluation import ties
from app.learning.evaluation.retrieval import Labels
from app.learning.nn.autoencoder import LossReading
from app.learning.research import claims, conclusions
from app.learning.research.autoencoder import autoencoder_cell
from app.learning.research.conclusions import Named
from app.learning.research.settings import PaperSettings
from app.learning.research.table import (
    COLUMNS,
    NO_LABELS,
    NOT_RUN,
    Measurement,
    ReportRow,
    ReportTable,
    claim_row,
)
from app.learning.research.workspace import Workspace

BITS = {"cifar10": 32, "caltech101": 64}
"""Code length by collection: the longest that the paper reports."""
CLAIMED_EPOCHS: Final = 100
DESCRIPTIONS = {
    LossReading.ALGORITHM_2: "Algorithm 2 as written",
    LossReading.ALGORITHM_2_CENTRED: "Algorithm 2, z normalised over the batch",
    LossReading.ALGORITHM_1: "Algorithm 1 and Eq. 6 as written, d = k",
    LossReading.DECODER_SEES_CODES: "Algorithm 2, z normalised, the decoder sees the codes",
    LossReading.FROM_CODES: "our variant (z normalised, the decoder sees the codes, bits balanced)",
}

WORDS = (
    "The squared errors of a picture are summed over its 3,072 values and those of a code over its bits, as "
    "the paper writes them, and λ = {weight:g} weighs the two sums ({means:.4f} if both were means, at 32 "
    "bits); our variant takes means. One epoch has {steps:,} steps of 128 pictures on the smallest gallery "
    "here; the paper's 100 epochs of 50,000 pictures have 39,100. A training stops when all codes were equal "
    "for three epochs."
)


def readings_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Every reading on each collection, at the longest code length of the paper."""
    rows, cells, said = [], [], []
    for collection in settings.collections:
        bits, gallery = BITS[collection], len(workspace.material(collection).split.gallery)
        claimed, claimed_100 = claims.TABLE_1[collection, bits]
        claim = claim_row(collection, bits, claimed, claimed_100)
        rows.append(replace(claim, values=(*claim.values, CLAIMED_EPOCHS)))
        chance = _chance(workspace.material(collection).labels)
        found = []
        for reading in _trained(settings):
            runs = [autoencoder_cell(workspace, collection, reading, bits, settings, s) for s in settings.seeds]
            cells += runs
            measured = Measurement.of(*(run["codes"] for run in runs))
            label = f"{collection}: {DESCRIPTIONS[reading]}"
            rows.append(ReportRow(label, (NO_LABELS, bits, *measured.values, _epochs(runs))))
            found.append(Named(f"{DESCRIPTIONS[reading]} ({collection})", measured))
        said += [conclusions.use_of_codes(one, gallery, chance) for one in found]
        said.append(conclusions.largest(found, f"of a reading on {collection}"))
        said += [conclusions.against_claim(one, claimed, is_pretrained=False) for one in _highest(found)]
    smallest = min(len(workspace.material(name).split.gallery) for name in settings.collections)
    weight = settings.quantisation_weight
    words = WORDS.format(weight=weight, means=weight * 32 / 3072, steps=smallest // 128)
    return ReportTable(
        "The paper's method, by reading",
        (*COLUMNS, "epochs"),
        tuple(rows),
        words,
        tuple(filter(None, said)),
        tuple(cells),
    )


def readings_called(names: Iterable[str]) -> tuple[LossReading, ...]:
    """Return readings by name.

    Raises:
        ValueError: There is no such reading.
    """
    try:
        return tuple(LossReading(name) for name in names)
    except ValueError as error:
        raise ValueError(f"{error}; readings are {', '.join(LossReading)}") from error


def _trained(settings: PaperSettings) -> list[LossReading]:
    return [reading for reading in settings.readings if reading in DESCRIPTIONS]


def _highest(found: list[Named]) -> list[Named]:
    finished = [one for one in found if one.measured.was_run]
    return [max(finished, key=lambda one: one.measured.map_all)] if finished else []


def _epochs(runs: list[dict[str, Any]]) -> str:
    """Write how many epochs the finished runs had; fewer than asked for if all codes became equal."""
    found = [len(run["history"]["terms"]) for run in runs if run]
    if not found:
        return NOT_RUN
    return str(found[0]) if min(found) == max(found) else f"{min(found)}–{max(found)}"


def _chance(labels: Labels) -> float:
    """Compute the mAP of one code for all pictures."""
    kinds, counts = np.unique(labels.gallery, return_counts=True)
    of_kind = dict(zip(kinds.tolist(), counts.tolist(), strict=True))
    relevant = np.array([[of_kind.get(kind, 0)] for kind in labels.queries.tolist()])
    whole = ties.TiedRanking(np.full_like(relevant, len(labels.gallery)), relevant)
    return float(ties.expected_ap(whole).mean())
