"""Table II: trained on one collection, tested on the other."""

from typing import Any

from app.learning.nn.autoencoder import LossReading
from app.learning.research import claims
from app.learning.research.autoencoder import evaluate_layer, run, trained_autoencoder
from app.learning.research.prepared import float_cell, method_cell
from app.learning.research.settings import PaperSettings
from app.learning.research.table import ReportRow, ReportTable, figures_of
from app.learning.research.workspace import Workspace
from app.learning.training.methods.itq import Itq
from app.learning.training.methods.neighbour_contrast import NeighbourContrast
from app.learning.training.methods.similarity import SimilarityRegression

AUTOENCODER_BITS = 32

WORDS = (
    "What learns a collection's kinds by heart carries badly to another one; hyperplanes that only keep the "
    "geometry of general features carry well, and length closes the rest of the gap to the float features."
)


def cross_domain_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Both directions at every code length."""
    rows, cells = [], []
    for source, target in claims.TABLE_2:
        if not {source, target} <= set(settings.collections):
            continue
        way = f"{source} → {target}"
        rows.append(ReportRow(f"{way}: the paper's claim", (None, *claims.TABLE_2[source, target]), claim=True))
        found = float_cell(workspace, target, settings, fitted_on=source)
        rows.append(
            ReportRow(f"{way}: {settings.encoder}, float cosine", (None, *figures_of(found["features"])))
        )
        codes = _autoencoder_across(workspace, source, target, settings)
        rows.append(ReportRow(f"{way}: autoencoder, from_codes", (AUTOENCODER_BITS, *figures_of(codes))))
        for method in (Itq(), SimilarityRegression(), NeighbourContrast()):
            for bits in settings.bits:
                cell = method_cell(
                    workspace, target, method, bits, settings, settings.seeds[0], fitted_on=source
                )
                cells.append(cell)
                label = f"{way}: {settings.encoder} + {method.name}"
                rows.append(ReportRow(label, (bits, *figures_of(cell["codes"]))))
    return ReportTable("Table II: cross-domain", ("", "bits", "mAP", "P@100"), tuple(rows), WORDS, tuple(cells))


def _autoencoder_across(
    workspace: Workspace, source: str, target: str, settings: PaperSettings
) -> dict[str, Any]:
    seed = settings.seeds[0]

    def compute() -> dict[str, Any]:
        network, _ = trained_autoencoder(
            workspace, source, LossReading.FROM_CODES, AUTOENCODER_BITS, settings, seed
        )
        material = workspace.material(target)
        queries, gallery = (run(network.encoder, part) for part in material.pixels())
        figures = evaluate_layer(network.hash_layer, queries, gallery, material.labels)
        return {**figures, "protocol": material.protocol(seed).as_dict()}

    names = f"{workspace.name(target)}-from-{workspace.name(source)}"
    return workspace.cell(f"{names}-autoencoder-{AUTOENCODER_BITS}-{settings.epochs}", compute)
