"""Table I: retrieval on the training collection, by code length."""

from app.learning.research import claims, conclusions
from app.learning.research.conclusions import Named
from app.learning.research.prepared import float_cell, is_tuned, labels_seen, method_cell
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

METHODS: tuple[HashMethod, ...] = (Itq(), DiffusionSimilarity())
FLOATS = {
    "features": "float features, cosine",
    "prepared": "prepared features (root, PCA-256), cosine",
    "expanded": "prepared features, gallery averaging and α-query expansion",
}

WORDS = (
    "All methods here hash features of a pretrained encoder, which learned ImageNet's kinds from labels; the "
    "paper claims its figures without any. No method is fitted with labels of the collection. Tuned settings "
    "were chosen by the labels of a validation part of the gallery, and so were the defaults of diffusion "
    "similarity on Caltech-101; on CIFAR-10 its defaults saw none of the labels. The paper's own network is "
    "in the table by reading. Gallery averaging and query expansion use ten neighbours and α = 3, which were "
    "not tuned."
)


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
        for bits in settings.bits:
            claim = claims.TABLE_1.get((collection, bits))
            if claim:
                rows.append(claim_row(collection, bits, *claim))
            for method in METHODS:
                choices = (False, True) if is_tuned(method, collection) else (False,)
                for tuned in choices:
                    runs = [
                        method_cell(workspace, collection, method, bits, settings, seed, tuned=tuned)
                        for seed in settings.seeds
                    ]
                    cells += runs
                    measured = Measurement.of(*(run["codes"] for run in runs))
                    what = f"{method.name}{', tuned' if tuned else ''}"
                    labels = labels_seen(method, collection, tuned=tuned)
                    rows.append(ReportRow(f"{collection}: {what}", (labels, bits, *measured.values)))
                    settings_used = "tuned settings" if tuned else "default settings"
                    said_as = method.name if len(choices) == 1 else f"{method.name} with {settings_used}"
                    named = Named(f"{said_as}, {bits} bits ({collection})", measured)
                    if claim:
                        said.append(conclusions.against_claim(named, claim[0]))
                    said.append(conclusions.compare_first_ten(named, floats["features"]))
    return ReportTable(
        "Table I: retrieval", COLUMNS, tuple(rows), WORDS, tuple(filter(None, said)), tuple(cells)
    )
