"""Table V: ablation, from raw pixels to every hash method on pretrained features."""

from typing import Any

from app.learning.evaluation.retrieval import evaluate_codes, evaluate_features
from app.learning.nn.autoencoder import LossReading
from app.learning.research import baselines, claims
from app.learning.research.autoencoder import autoencoder_cell, hashed_latent, trained_autoencoder
from app.learning.research.prepared import float_cell, method_cell
from app.learning.research.settings import PaperSettings
from app.learning.research.table import ReportRow, ReportTable, figures_of
from app.learning.research.workspace import Workspace
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

BITS = {"cifar10": 32, "caltech101": 64}
"""Code lengths of the paper's Table V, inferred from its Table I."""

WORDS = (
    "The autoencoder's latent finds about what raw pixels find, whichever hash follows it: the paper's step "
    "from random hashing to its full method is not there. On pretrained features, what only rebuilds loses "
    "against ITQ on both collections, the paper's layer most of all, and what learns from neighbours gains."
)


def ablation_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Baselines, parts of the paper's method, and every unsupervised method."""
    rows, cells = [], []
    for i, collection in enumerate(settings.collections):
        bits = BITS[collection]
        for part, claim in claims.TABLE_5.items():
            rows.append(
                ReportRow(f"{collection}: {part}, the paper's claim", (bits, claim[i], None), claim=True)
            )
        for label, found in _without_learning(workspace, collection)["figures"].items():
            rows.append(ReportRow(f"{collection}: {label}", (None, *figures_of(found))))
        rows += _autoencoder_rows(workspace, collection, bits, settings)
        whole = float_cell(workspace, collection, settings)
        rows.append(
            ReportRow(f"{collection}: {settings.encoder}, float cosine", (None, *figures_of(whole["features"])))
        )
        rows.append(ReportRow(f"{collection}: prepared (PCA-256)", (None, *figures_of(whole["prepared"]))))
        for method in (
            RandomHyperplanes(), PcaSign(), Itq(), PaperLayer(), CodeReconstruction(), VariationalBits(),
            AdversarialBits(), SimilarityRegression(), CibHash(), NeighbourContrast(), DiffusionContrast(),
            DiffusionSimilarity(),
        ):  # fmt: skip
            cell = method_cell(workspace, collection, method, bits, settings, settings.seeds[0])
            cells.append(cell)
            rows.append(
                ReportRow(f"{collection}: features + {method.name}", (bits, *figures_of(cell["codes"])))
            )
    return ReportTable("Table V: ablation", ("", "bits", "mAP", "P@100"), tuple(rows), WORDS, tuple(cells))


def _without_learning(workspace: Workspace, collection: str) -> dict[str, Any]:
    def compute() -> dict[str, Any]:
        material = workspace.material(collection)
        queries, gallery = material.pixels()
        pixels = (baselines.raw_pixels(queries), baselines.raw_pixels(gallery))
        colours = (baselines.colour_histogram(queries), baselines.colour_histogram(gallery))
        hashes = (baselines.perceptual_hash(queries), baselines.perceptual_hash(gallery))
        figures = {
            "raw pixels, L2": evaluate_features(*pixels, labels=material.labels, squared_distance=True),
            "colour histogram": evaluate_features(*colours, labels=material.labels),
            "pHash, 64 bits": evaluate_codes(*hashes, labels=material.labels),
        }
        return {
            "figures": {label: found.as_dict() for label, found in figures.items()},
            "protocol": material.protocol().as_dict(),
        }

    return workspace.cell(f"{workspace.name(collection)}-baselines", compute)


def _autoencoder_rows(
    workspace: Workspace, collection: str, bits: int, settings: PaperSettings
) -> list[ReportRow]:
    seed = settings.seeds[0]
    only = LossReading.RECONSTRUCTION_ONLY
    plain = autoencoder_cell(workspace, collection, only, bits, settings, seed)
    rows = [ReportRow(f"{collection}: autoencoder's latent, L2", (None, *figures_of(plain["latent"])))]
    for method in (RandomHyperplanes(), Itq()):

        def compute(method: RandomHyperplanes | Itq = method) -> dict[str, Any]:
            network, _ = trained_autoencoder(workspace, collection, only, bits, settings, seed)
            material = workspace.material(collection)
            figures = hashed_latent(network, material, method, bits, seed)
            return {**figures, "protocol": material.protocol(seed).as_dict()}

        key = f"{workspace.name(collection)}-latent-{method.name}-{bits}-{settings.epochs}"
        found = workspace.cell(key, compute)
        rows.append(ReportRow(f"{collection}: autoencoder + {method.name}", (bits, *figures_of(found))))
    for reading in (LossReading.ALGORITHM_2, LossReading.FROM_CODES):
        full = autoencoder_cell(workspace, collection, reading, bits, settings, seed)
        rows.append(
            ReportRow(f"{collection}: autoencoder, {reading.value}", (bits, *figures_of(full["codes"])))
        )
    return rows
