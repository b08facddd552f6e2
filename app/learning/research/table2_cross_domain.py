"""Table II: trained on one collection, tested on the other."""

from typing import Any

from app.learning.nn.autoencoder import LossReading
from app.learning.research import claims, conclusions
from app.learning.research.autoencoder import evaluate_layer, run, trained_autoencoder
from app.learning.research.conclusions import Named
from app.learning.research.prepared import float_cell, labels_seen, method_cell
from app.learning.research.settings import PaperSettings
from app.learning.research.table import (
    COLUMNS,
    ENCODER_LABELS,
    NO_LABELS,
    Measurement,
    ReportRow,
    ReportTable,
    claim_row,
)
from app.learning.research.workspace import Part, Workspace
from app.learning.training.methods.itq import Itq
from app.learning.training.methods.neighbour_contrast import NeighbourContrast
from app.learning.training.methods.similarity import SimilarityRegression

AUTOENCODER_BITS = {"cifar10": 32, "caltech101": 64}
"""Code length of the network by the collection that it is trained on, as in the table by reading."""

WORDS = (
    "Preparation and hash layer are fitted on the first collection without labels, and the second one is "
    "searched. The encoder of all rows but the network's learned ImageNet's kinds from labels. Neighbour "
    "contrast uses the number of neighbours that was chosen on a validation part of the first collection."
)


def cross_domain_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Both directions at every code length."""
    rows, cells, said = [], [], []
    for source, target in claims.TABLE_2:
        if not {source, target} <= set(settings.collections):
            continue
        way = f"{source} → {target}"
        claimed = claims.TABLE_2[source, target]
        rows.append(claim_row(way, None, *claimed))
        raw = Measurement.of(float_cell(workspace, target, settings)["features"])
        rows.append(ReportRow(f"{way}: float features, cosine", (ENCODER_LABELS, None, *raw.values)))
        network = Measurement.of(_autoencoder_across(workspace, source, target, settings))
        bits = AUTOENCODER_BITS[source]
        rows.append(ReportRow(f"{way}: our variant of the paper's network", (NO_LABELS, bits, *network.values)))
        said.append(
            conclusions.against_claim(Named(f"the network ({way})", network), claimed[0], is_pretrained=False)
        )
        for bits in settings.bits:
            found = []
            for method in (Itq(), SimilarityRegression(), NeighbourContrast()):
                runs = [
                    method_cell(workspace, target, method, bits, settings, seed, fitted_on=source)
                    for seed in settings.seeds
                ]
                cells += runs
                measured = Measurement.of(*(one["codes"] for one in runs))
                labels = labels_seen(method, source, tuned=True)
                rows.append(ReportRow(f"{way}: {method.name}", (labels, bits, *measured.values)))
                found.append(Named(f"{method.name} with {bits} bits ({way})", measured))
            said.append(conclusions.ordered_around(found[0], found[1:]))
            if bits == max(settings.bits):
                said.append(conclusions.against_claim(found[0], claimed[0]))
                said.append(conclusions.compare_map(found[0], Named("the float features", raw)))
    return ReportTable(
        "Table II: cross-domain", COLUMNS, tuple(rows), WORDS, tuple(filter(None, said)), tuple(cells)
    )


def _autoencoder_across(
    workspace: Workspace, source: str, target: str, settings: PaperSettings
) -> dict[str, Any]:
    seed, bits = settings.seeds[0], AUTOENCODER_BITS[source]

    def compute() -> dict[str, Any]:
        network, _ = trained_autoencoder(workspace, source, LossReading.FROM_CODES, bits, settings, seed)
        material = workspace.material(target)
        queries, gallery = (run(network.encoder, part) for part in material.pixels())
        figures = evaluate_layer(network.hash_layer, queries, gallery, material.labels)
        return {**figures, "protocol": material.protocol(seed).as_dict()}

    names = f"{workspace.name(target)}-from-{workspace.name(source)}"
    return workspace.cell(f"{names}-network-{bits}-{seed}-{settings.epochs}", compute, Part.NETWORKS)
