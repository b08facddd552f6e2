"""Table I: retrieval on the training collection, by code length."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from app.learning.research import claims, conclusions
from app.learning.research.conclusions import Named
from app.learning.research.prepared import (
    SIMILARITY_SETTINGS,
    float_cell,
    is_tuned,
    labels_seen,
    method_cell,
)
from app.learning.research.settings import PaperSettings
from app.learning.research.table import (
    COLUMNS,
    ENCODER_LABELS,
    Measurement,
    ReportRow,
    ReportTable,
    claim_row,
)
from app.learning.research.workspace import Workspace
from app.learning.training.methods.base import HashMethod
from app.learning.training.methods.diffusion_similarity import DiffusionSimilarity
from app.learning.training.methods.itq import Itq
from app.learning.training.own_model import DEFAULT_SETTINGS

METHODS: tuple[HashMethod, ...] = (Itq(), DiffusionSimilarity())
FLOATS = {
    "features": "float features, cosine",
    "prepared": "prepared features (root, PCA-256), cosine",
    "expanded": "prepared features, gallery averaging and α-query expansion",
}

WORDS = (
    "All methods here hash features of a pretrained encoder, which learned ImageNet's kinds from labels; the "
    "paper claims its figures without any. No method is fitted with labels of the collection. Defaults are "
    "those of `lookalike train` ({defaults}). Settings are tuned by the labels of a validation part of the "
    "gallery: {tuned}. Other defaults of diffusion similarity were tuned that way on Caltech-101, and local, "
    "among 0, 0.5 and 0.7, by the queries of Caltech-101 and of flowers, so that its defaults favour "
    "Caltech-101; they saw no label of CIFAR-10. The paper's own network is in the table by reading. Gallery "
    "averaging and query expansion use ten neighbours and α = 3, which were not tuned."
)


Variant = tuple[HashMethod, bool, str]
"""A method, whether its settings are tuned, and its name in the table."""


def _variants(collection: str) -> list[Variant]:
    """Each method, with default and with tuned settings if they differ."""
    found: list[Variant] = []
    for method in METHODS:
        if is_tuned(method, collection):
            found += [(method, False, f"{method.name}, defaults"), (method, True, f"{method.name}, tuned")]
        else:
            found.append((method, False, method.name))
    return found


def _compared(
    collection: str, lengths: dict[Variant, dict[int, Measurement]], expanded: Named
) -> list[str | None]:
    """Compare the methods at the longest code with each other and with expanded features."""
    longest = [
        Named(f"{variant[2]} with {max(found)} bits ({collection})", found[max(found)])
        for variant, found in lengths.items()
    ]
    return [
        *(conclusions.compare_map(one, other) for other, one in pairwise(longest)),
        conclusions.ordered_around(expanded, longest),
    ]


def retrieval_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Float features, ITQ and diffusion similarity, the latter with default and with tuned settings."""
    rows, cells, said = [], [], []
    for collection in settings.collections:
        stored = float_cell(workspace, collection, settings)
        floats = {
            key: Named(f"{what} ({collection})", Measurement.of(stored[key])) for key, what in FLOATS.items()
        }
        for key, what in FLOATS.items():
            rows.append(
                ReportRow(f"{collection}: {what}", (ENCODER_LABELS, None, *floats[key].measured.values))
            )
        said.append(conclusions.compare_map(floats["expanded"], floats["prepared"]))
        lengths: dict[Variant, dict[int, Measurement]] = {}
        for bits in settings.bits:
            claim = claims.TABLE_1.get((collection, bits))
            if claim:
                rows.append(claim_row(collection, bits, *claim))
            for variant in _variants(collection):
                method, tuned, name = variant
                runs = [
                    method_cell(workspace, collection, method, bits, settings, seed, tuned=tuned)
                    for seed in settings.seeds
                ]
                cells += [{**run, "label": name} for run in runs if run]
                measured = Measurement.of(*(run["codes"] for run in runs))
                labels = labels_seen(method, collection, tuned=tuned)
                rows.append(ReportRow(f"{collection}: {name}", (labels, bits, *measured.values)))
                lengths.setdefault(variant, {})[bits] = measured
        claimed = {bits: claim[0] for (of, bits), claim in claims.TABLE_1.items() if of == collection}
        for variant, found in lengths.items():
            name = f"{variant[2]} ({collection})"
            said.append(conclusions.against_claims(name, found, claimed))
            said.append(conclusions.first_ten_by_length(name, found, floats["features"]))
        said += _compared(collection, lengths, floats["expanded"])
    settings_of = (f"on {name} {_written(SIMILARITY_SETTINGS[name])}" for name in settings.collections)
    words = WORDS.format(
        defaults=_written(DEFAULT_SETTINGS[DiffusionSimilarity.name]), tuned="; ".join(settings_of)
    )
    return ReportTable(
        "Table I: retrieval", COLUMNS, tuple(rows), words, tuple(filter(None, said)), tuple(cells)
    )


def _written(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in settings.items())
