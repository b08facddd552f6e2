"""Table V: ablation, from raw pixels to every hash method on pretrained features."""

from typing import Any

from app.learning.evaluation.retrieval import evaluate_codes, evaluate_features
from app.learning.nn.autoencoder import LossReading
from app.learning.research import baselines, claims, conclusions
from app.learning.research.autoencoder import autoencoder_cell, hashed_latent, trained_autoencoder
from app.learning.research.conclusions import Named
from app.learning.research.prepared import MOST_COPIES, float_cell, labels_seen, method_cell
from app.learning.research.readings import BITS, DESCRIPTIONS
from app.learning.research.settings import PaperSettings
from app.learning.research.table import (
    COLUMNS,
    ENCODER_LABELS,
    NO_LABELS,
    Measurement,
    ReportRow,
    ReportTable,
    claim_row,
    stored_figures,
)
from app.learning.research.workspace import Part, Workspace
from app.learning.training.methods.adversarial import AdversarialBits
from app.learning.training.methods.cibhash import CibHash
from app.learning.training.methods.diffusion import DiffusionContrast
from app.learning.training.methods.diffusion_similarity import DiffusionSimilarity
from app.learning.training.methods.itq import Itq
from app.learning.training.methods.neighbour_contrast import NeighbourContrast
from app.learning.training.methods.paper import PaperLayer
from app.learning.training.methods.pca_sign import PcaSign
from app.learning.training.methods.random_hyperplanes import RandomHyperplanes
from app.learning.training.methods.reconstruction import CodeReconstruction
from app.learning.training.methods.similarity import SimilarityRegression
from app.learning.training.methods.variational import VariationalBits

METHODS = (
    RandomHyperplanes(), PcaSign(), Itq(), PaperLayer(), CodeReconstruction(), VariationalBits(),
    AdversarialBits(), SimilarityRegression(), CibHash(), NeighbourContrast(), DiffusionContrast(),
    DiffusionSimilarity(),
)  # fmt: skip
RAW_PIXELS = "raw pixels, L2"
NETWORKS = (LossReading.ALGORITHM_2, LossReading.DECODER_SEES_CODES)

WORDS = (
    "One run of each, with the first seed; methods with settings for a collection use them. The encoder of the "
    f"features learned ImageNet's kinds from labels; the paper's claims are without any. {CibHash.name} learns "
    f"from {MOST_COPIES:,} evenly spaced pictures at most, since each has to be edited and encoded once more. "
    "The variational and the adversarial method hash pretrained features here; the paper means networks "
    "trained from pixels."
)


def ablation_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Baselines, parts of the paper's method, and every unsupervised method."""
    rows: list[ReportRow] = []
    cells: list[dict[str, Any]] = []
    said = []
    for i, collection in enumerate(settings.collections):
        bits = BITS[collection]
        for part, claim in claims.TABLE_5.items():
            rows.append(claim_row(f"{collection}: {part}", bits, claim[i], None))
        pixels = Named("raw pixels", Measurement.of())
        for label, stored in _without_learning(workspace, collection)["figures"].items():
            measured = Measurement.of(stored)
            rows.append(ReportRow(f"{collection}: {label}", (NO_LABELS, None, *measured.values)))
            if label == RAW_PIXELS:
                pixels = Named(f"raw pixels ({collection})", measured)
        networks = _autoencoder_rows(workspace, collection, bits, settings)
        for one, code_length in networks:
            rows.append(ReportRow(f"{collection}: {one.name}", (NO_LABELS, code_length, *one.measured.values)))
        parts = zip(claims.TABLE_5.values(), networks[:2], strict=False)
        said += [
            conclusions.against_claim(
                Named(f"{one.name} ({collection})", one.measured), claim[i], is_pretrained=False
            )
            for claim, (one, _) in parts
        ]
        said.append(conclusions.ordered_around(pixels, [one for one, _ in networks]))
        rows, found = _feature_rows(workspace, collection, bits, settings, rows, cells)
        itq = next(one for one in found if one.name == Itq.name)
        reference = Named(f"{itq.name} on features, {bits} bits ({collection})", itq.measured)
        said.append(conclusions.ordered_around(reference, [one for one in found if one is not itq]))
    return ReportTable(
        "Table V: ablation", COLUMNS, tuple(rows), WORDS, tuple(filter(None, said)), tuple(cells)
    )


def _feature_rows(
    workspace: Workspace,
    collection: str,
    bits: int,
    settings: PaperSettings,
    rows: list[ReportRow],
    cells: list[dict[str, Any]],
) -> tuple[list[ReportRow], list[Named]]:
    """Append the rows of methods on features, and return them with the methods' measurements."""
    stored = float_cell(workspace, collection, settings)
    for key, label in (("features", "float features, cosine"), ("prepared", "prepared features, cosine")):
        measured = Measurement.of(stored[key])
        rows.append(ReportRow(f"{collection}: {label}", (ENCODER_LABELS, None, *measured.values)))
    found = []
    for method in METHODS:
        cell = method_cell(workspace, collection, method, bits, settings, settings.seeds[0])
        cells.append(cell)
        measured = Measurement.of(cell["codes"])
        labels = labels_seen(method, collection, tuned=True)
        rows.append(ReportRow(f"{collection}: features + {method.name}", (labels, bits, *measured.values)))
        found.append(Named(method.name, measured))
    return rows, found


def _without_learning(workspace: Workspace, collection: str) -> dict[str, Any]:
    def compute() -> dict[str, Any]:
        material = workspace.material(collection)
        queries, gallery = material.pixels()
        pixels = (baselines.raw_pixels(queries), baselines.raw_pixels(gallery))
        colours = (baselines.colour_histogram(queries), baselines.colour_histogram(gallery))
        hashes = (baselines.perceptual_hash(queries), baselines.perceptual_hash(gallery))
        figures = {
            RAW_PIXELS: evaluate_features(*pixels, labels=material.labels, squared_distance=True),
            "colour histogram": evaluate_features(*colours, labels=material.labels),
            "pHash, 64 bits": evaluate_codes(*hashes, labels=material.labels),
        }
        return {
            "figures": {label: stored_figures(found) for label, found in figures.items()},
            "protocol": material.protocol().as_dict(),
        }

    return workspace.cell(f"{workspace.name(collection)}-baselines", compute)


def _autoencoder_rows(
    workspace: Workspace, collection: str, bits: int, settings: PaperSettings
) -> list[tuple[Named, int | None]]:
    """Parts of the paper's network, with their code lengths."""
    seed, only = settings.seeds[0], LossReading.RECONSTRUCTION_ONLY
    plain = autoencoder_cell(workspace, collection, only, bits, settings, seed)
    found: list[tuple[Named, int | None]] = [
        (Named("the autoencoder's latent, L2", Measurement.of(plain["latent"])), None)
    ]
    for method in (RandomHyperplanes(), Itq()):

        def compute(method: RandomHyperplanes | Itq = method) -> dict[str, Any]:
            network, _ = trained_autoencoder(workspace, collection, only, bits, settings, seed)
            material = workspace.material(collection)
            figures = hashed_latent(network, material, method, bits, seed)
            return {**figures, "protocol": material.protocol(seed).as_dict()}

        key = f"{workspace.name(collection)}-latent-{method.name}-{bits}-{seed}-{settings.epochs}"
        measured = Measurement.of(workspace.cell(key, compute, Part.NETWORKS))
        found.append((Named(f"the autoencoder's latent + {method.name}", measured), bits))
    for reading in NETWORKS:
        full = autoencoder_cell(workspace, collection, reading, bits, settings, seed)
        found.append((Named(f"the autoencoder, {DESCRIPTIONS[reading]}", Measurement.of(full["codes"])), bits))
    return found
