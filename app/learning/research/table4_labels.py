"""Table IV: CIFAR-10 with unseen kinds, with few labels per kind, and with all labels."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.learning.datasets.splits import Split
from app.learning.evaluation.protocol import Protocol
from app.learning.evaluation.retrieval import Labels
from app.learning.research import claims, conclusions
from app.learning.research.autoencoder import evaluate_layer
from app.learning.research.conclusions import Named
from app.learning.research.prepared import configure_method, method_cell, prepare_features
from app.learning.research.settings import PaperSettings
from app.learning.research.table import (
    COLUMNS,
    ENCODER_LABELS,
    TUNED_LABELS,
    Measurement,
    ReportRow,
    ReportTable,
    claim_row,
)
from app.learning.research.workspace import Part, Workspace
from app.learning.training.methods.base import HashMethod, TrainingSet
from app.learning.training.methods.diffusion import DiffusionContrast
from app.learning.training.methods.few_shot import FewShot
from app.learning.training.methods.supervised import SupervisedContrast

BITS = 32
UNSEEN_KINDS = (7, 8, 9)

WORDS = (
    "Zero-shot: the layer is fitted on the gallery pictures of seven kinds; queries are of the other three, "
    "the gallery is whole. Few-shot: the labelled pictures of each kind are drawn at random, and each run has "
    "another draw; missing labels are guessed by logistic regression on the diffusion embedding. All labels "
    "are the upper end of the same scale. In each row the encoder also learned ImageNet's kinds from labels; "
    "the settings of diffusion contrast and of few-shot were chosen by labels of a validation part."
)


def labels_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Results with no, few and all labels on CIFAR-10."""
    material = workspace.material("cifar10")
    known = material.split.gallery.labels
    claimed = claims.TABLE_4
    said: list[str | None] = []
    rows = [claim_row("zero-shot", BITS, *claimed["zero-shot"])]
    for method, labels in (
        (DiffusionContrast(), TUNED_LABELS),
        (SupervisedContrast(reconstruction=0.0), f"{ENCODER_LABELS}, seven kinds"),
    ):
        measured = Measurement.of(*(_zero_shot(workspace, method, settings, seed) for seed in settings.seeds))
        rows.append(ReportRow(f"zero-shot: {method.name} on seen kinds", (labels, BITS, *measured.values)))
        named = Named(f"zero-shot {method.name}", measured)
        said.append(conclusions.against_claim(named, claimed["zero-shot"][0]))
    for count in (5, 10):
        name = f"{count} a kind"
        rows.append(claim_row(name, BITS, *claimed[name]))
        runs = [
            method_cell(
                workspace, "cifar10", FewShot(), BITS, settings, draw,
                labels=_drawn_labels(known, count, draw), variant=f"{count}-drawn-a-kind", part=Part.LABELS,
            )
            for draw in range(settings.label_draws)
        ]  # fmt: skip
        measured = Measurement.of(*(run["codes"] for run in runs))
        labels = f"{TUNED_LABELS}, {count} a kind"
        rows.append(ReportRow(f"{name}: {FewShot.name}", (labels, BITS, *measured.values)))
        said.append(conclusions.against_claim(Named(f"few_shot with {name}", measured), claimed[name][0]))
        said.append(_spread(name, measured, claimed[name][0]))
    supervised = SupervisedContrast(reconstruction=0.0)
    runs = [
        method_cell(workspace, "cifar10", supervised, BITS, settings, seed, labels=known, part=Part.LABELS)
        for seed in settings.seeds
    ]
    measured = Measurement.of(*(run["codes"] for run in runs))
    labels = f"{ENCODER_LABELS}, all"
    rows.append(ReportRow(f"all labels: {SupervisedContrast.name}", (labels, BITS, *measured.values)))
    return ReportTable(
        "Table IV: few labels, CIFAR-10, 32 bits", COLUMNS, tuple(rows), WORDS, tuple(filter(None, said))
    )


def _drawn_labels(known: NDArray[np.int64], count: int, draw: int) -> NDArray[np.int64]:
    """Labels of ``count`` random pictures of each kind, −1 for the others."""
    rng = np.random.default_rng([count, draw])
    some = np.full(len(known), -1, dtype=np.int64)
    for kind in np.unique(known):
        rows = np.flatnonzero(known == kind)
        some[rng.choice(rows, min(count, len(rows)), replace=False)] = kind
    return some


def _spread(name: str, measured: Measurement, claimed: float) -> str | None:
    """Say how much the draws differ; None if nothing was run."""
    if not measured.was_run:
        return None
    found = np.array(measured.map_of_runs)
    return (
        f"Over {len(found)} draws of {name}, the mAP has mean {found.mean():.3f} and standard deviation "
        f"{found.std(ddof=min(1, len(found) - 1)):.3f}, from {found.min():.3f} to {found.max():.3f}; "
        f"{int((found > claimed).sum())} of {len(found)} draws are above the claim of {claimed:.3f}."
    )


def _zero_shot(workspace: Workspace, method: HashMethod, settings: PaperSettings, seed: int) -> dict[str, Any]:
    def compute() -> dict[str, Any]:
        material = workspace.material("cifar10")
        features = prepare_features(workspace, "cifar10", settings)
        seen = ~_unseen(material.labels.gallery)
        training = TrainingSet(features.gallery[seen], material.labels.gallery[seen])
        layer = configure_method(method, "cifar10", len(training.features), settings).fit(training, BITS, seed)
        asked = _unseen(material.labels.queries)
        labels = Labels(material.labels.queries[asked], material.labels.gallery)
        figures = evaluate_layer(layer, features.queries[asked], features.gallery, labels)
        return {**figures, "protocol": _of_unseen(material.split, asked, seed).as_dict()}

    name = f"{workspace.name('cifar10')}-{settings.encoder}-zero-shot-{method.name}"
    return workspace.cell(f"{name}-{seed}-{settings.method_epochs}", compute, Part.LABELS)


def _of_unseen(split: Split, asked: NDArray[np.bool_], seed: int) -> Protocol:
    unseen = split.queries.subset(np.flatnonzero(asked))
    rule = f"{split.rule}; only queries of the unseen kinds {UNSEEN_KINDS}"
    return Protocol.of(replace(split, queries=unseen, rule=rule), training_seed=seed)


def _unseen(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    unseen: NDArray[np.bool_] = np.isin(labels, UNSEEN_KINDS)
    return unseen
