"""WordNet features beside the encoder's in ITQ codes, fitted on one collection and searched on both."""

from typing import Any, Final

import numpy as np
from torch import nn

from app.learning.nn.encoders.efficientnet_lite import published_classifier
from app.learning.nn.preparation import FeaturePreparation
from app.learning.nn.wordnet import WordnetFeatures, WordnetPreparation
from app.learning.research import conclusions
from app.learning.research.autoencoder import evaluate_layer, run
from app.learning.research.conclusions import Named
from app.learning.research.prepared import PREPARED_DIM
from app.learning.research.settings import PaperSettings
from app.learning.research.table import COLUMNS, ENCODER_LABELS, Measurement, ReportRow, ReportTable
from app.learning.research.workspace import Workspace
from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.itq import Itq

FITTED_ON: Final = "caltech101"
BITS: Final = (64, 256)
WEIGHTS: Final = (0.0, 0.5)
"""Weights of the WordNet features; 0 is the shipped preparation."""

WORDS = (
    "Probabilities of the encoder's own 1,000 classes at temperature 5 are summed up for each noun of WordNet "
    "above them; their roots, centred and weighted by information content, are joined to the prepared features "
    "with weight α. Everything is fitted on {source}. No label is used but ImageNet's."
)


def wordnet_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """ITQ codes with and without WordNet features."""
    rows, said = [], []
    dim = min(PREPARED_DIM, len(workspace.material(FITTED_ON).split.gallery) - 1)
    for bits in (bits for bits in BITS if bits <= dim):
        for collection in settings.collections:
            found = {}
            for weight in WEIGHTS:
                cells = [_cell(workspace, collection, bits, weight, settings, seed) for seed in settings.seeds]
                measured = Measurement.of(*cells)
                name = f"α = {weight:g}" if weight else "without WordNet"
                row = (ENCODER_LABELS, bits, *measured.values)
                rows.append(ReportRow(f"{FITTED_ON} → {collection}: {name}", row))
                found[weight] = Named(f"{name} with {bits} bits ({collection})", measured)
            for weight in WEIGHTS[1:]:
                said.append(conclusions.compare_map(found[weight], found[0.0]))
                said.append(conclusions.compare_first_ten(found[weight], found[0.0]))
    words = WORDS.format(source=FITTED_ON)
    return ReportTable("WordNet in ITQ codes", COLUMNS, tuple(rows), words, tuple(filter(None, said)))


def _cell(
    workspace: Workspace, collection: str, bits: int, weight: float, settings: PaperSettings, seed: int
) -> dict[str, Any]:
    def features(name: str) -> tuple[np.ndarray, np.ndarray]:
        queries, gallery = workspace.material(name).features(settings.encoder, settings.input_size(name))
        return np.array(queries), np.array(gallery)

    def prepare() -> nn.Module:
        _, basis = features(FITTED_ON)
        dim = min(PREPARED_DIM, len(basis) - 1)
        visual = FeaturePreparation.fit(basis, dim, whiten=0.0)
        classifier = published_classifier(settings.encoder)
        if not weight or classifier is None:
            return visual
        return WordnetPreparation(visual, WordnetFeatures(*classifier).fit(basis), weight, dim).fit(basis)

    def compute() -> dict[str, Any]:
        preparation = workspace.remembered(f"wordnet-{weight}", prepare)
        queries, gallery = (run(preparation, part) for part in features(collection))
        basis = run(preparation, features(FITTED_ON)[1])
        layer = Itq().fit(TrainingSet(basis), bits, seed)
        figures = evaluate_layer(layer, queries, gallery, workspace.material(collection).labels)
        return {**figures, "protocol": workspace.material(collection).protocol(seed).as_dict()}

    names = f"{workspace.name(collection)}-from-{workspace.name(FITTED_ON)}"
    return workspace.cell(f"{names}-{settings.encoder}-wordnet-{weight:g}-{bits}-{seed}", compute)
