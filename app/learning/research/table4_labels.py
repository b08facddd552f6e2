"""Table IV: CIFAR-10 with unseen kinds, with few labels per kind, and with all labels."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.learning.datasets.splits import Split, first_of_each_kind
from app.learning.evaluation.protocol import Protocol
from app.learning.evaluation.retrieval import Labels
from app.learning.research import claims
from app.learning.research.autoencoder import evaluate_layer
from app.learning.research.prepared import configure_method, method_cell, prepare_features
from app.learning.research.settings import PaperSettings
from app.learning.research.table import Pair, ReportRow, ReportTable, figures_of
from app.learning.research.workspace import Workspace
from app.learning.training.methods.base import HashMethod, TrainingSet
from app.learning.training.methods.diffusion import DiffusionContrast
from app.learning.training.methods.few_shot import FewShot
from app.learning.training.methods.supervised import SupervisedContrast

BITS = 32
UNSEEN_KINDS = (7, 8, 9)

WORDS = (
    "Zero-shot: the layer is fitted on the gallery pictures of seven kinds; queries are of the other three, "
    "the gallery is whole. Few-shot: labels of the first pictures of each kind by name, the rest guessed by "
    "logistic regression on the diffusion embedding. All labels are the upper end of the same scale."
)


def labels_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Results with no, few and all labels on CIFAR-10."""
    rows = []
    material = workspace.material("cifar10")
    known = material.split.gallery.labels
    claimed = claims.TABLE_4
    rows.append(ReportRow("zero-shot: the paper's claim", claimed["zero-shot"], claim=True))
    rows += [
        ReportRow(f"zero-shot: {method.name} on seen kinds", _zero_shot(workspace, method, settings))
        for method in (DiffusionContrast(), SupervisedContrast(reconstruction=0.0))
    ]
    for count in (5, 10):
        some = np.full(len(known), -1, dtype=np.int64)
        rows_known = first_of_each_kind(known, count)
        some[rows_known] = known[rows_known]
        name = f"{count} a kind"
        rows.append(ReportRow(f"{name}: the paper's claim", claimed[name], claim=True))
        cell = method_cell(
            workspace,
            "cifar10",
            FewShot(),
            BITS,
            settings,
            0,
            labels=some,
            variant=f"{count}-a-kind",
        )
        rows.append(ReportRow(f"{name}: {FewShot.name}", figures_of(cell["codes"])))
    supervised = SupervisedContrast(reconstruction=0.0)
    cell = method_cell(workspace, "cifar10", supervised, BITS, settings, 0, labels=known)
    rows.append(ReportRow(f"all labels: {SupervisedContrast.name}", figures_of(cell["codes"])))
    return ReportTable("Table IV: few labels, CIFAR-10, 32 bits", ("", "mAP", "P@100"), tuple(rows), WORDS)


def _zero_shot(workspace: Workspace, method: HashMethod, settings: PaperSettings) -> Pair:
    def compute() -> dict[str, Any]:
        material = workspace.material("cifar10")
        features = prepare_features(workspace, "cifar10", settings)
        seen = ~_unseen(material.labels.gallery)
        training = TrainingSet(features.gallery[seen], material.labels.gallery[seen])
        layer = configure_method(method, "cifar10", len(training.features), settings).fit(training, BITS, 0)
        asked = _unseen(material.labels.queries)
        labels = Labels(material.labels.queries[asked], material.labels.gallery)
        figures = evaluate_layer(layer, features.queries[asked], features.gallery, labels)
        return {**figures, "protocol": _of_unseen(material.split, asked).as_dict()}

    name = workspace.name("cifar10")
    return figures_of(
        workspace.cell(f"{name}-{settings.encoder}-zero-shot-{method.name}-{settings.method_epochs}", compute)
    )


def _of_unseen(split: Split, asked: NDArray[np.bool_]) -> Protocol:
    unseen = split.queries.subset(np.flatnonzero(asked))
    rule = f"{split.rule}; only queries of the unseen kinds {UNSEEN_KINDS}"
    return Protocol.of(replace(split, queries=unseen, rule=rule), training_seed=0)


def _unseen(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    unseen: NDArray[np.bool_] = np.isin(labels, UNSEEN_KINDS)
    return unseen
