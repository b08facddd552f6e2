"""Prepared features of a collection, and result cells of hash methods on them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from app.domain.expansion import expand
from app.domain.ids import sha256_hex
from app.learning.evaluation.retrieval import evaluate_features
from app.learning.nn.preparation import FeaturePreparation
from app.learning.research.autoencoder import evaluate_layer, run
from app.learning.research.settings import PaperSettings
from app.learning.research.table import ENCODER_LABELS, TUNED_LABELS, stored_figures
from app.learning.research.workspace import Part, Workspace
from app.learning.training.methods.base import HashMethod, TrainingSet
from app.learning.training.methods.diffusion import DiffusionContrast
from app.learning.training.methods.diffusion_similarity import DiffusionSimilarity
from app.learning.training.methods.gradient import GradientMethod
from app.learning.training.methods.neighbour_contrast import NeighbourContrast
from app.learning.training.own_model import DEFAULT_SETTINGS

PREPARED_DIM = 256
NEIGHBOURS = {"cifar10": 100, "caltech101": 10}
"""Positives per picture, chosen on validation parts: kinds of 5,000 pictures have more true neighbours than
kinds of 80."""
DIFFUSION_SHARE = {"cifar10": 50, "caltech101": 1000}
"""Diffusion contrast draws positives from one gallery picture in this many, at least ten."""
DIFFUSION_SETTINGS = {"cifar10": {"modes": 10, "steps": 8}, "caltech101": {"modes": 150, "steps": 4}}
"""Embedding settings of diffusion contrast, chosen on validation parts: about as many modes as kinds."""
SIMILARITY_SETTINGS: dict[str, dict[str, Any]] = {
    "cifar10": {"modes": 25, "steps": 8, "neighbours": 100, "temperature": 0.3},
    "caltech101": {"modes": 250},
}
"""Settings of diffusion similarity, chosen on validation parts."""
DEFAULTS_CHOSEN_ON = "caltech101"
"""Collection on whose validation part defaults of methods that learn from neighbours were chosen."""
COPY = "crop_50"
"""Edit whose copies CIBHash learns from."""
MOST_COPIES = 10_000
"""Pictures that CIBHash learns from; each has to be edited and encoded once more."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Prepared features of one collection; the preparation may be fitted on another."""

    queries: NDArray[np.float32]
    gallery: NDArray[np.float32]


def prepare_features(
    workspace: Workspace, collection: str, settings: PaperSettings, *, fitted_on: str | None = None
) -> Prepared:
    """Features of ``collection``, prepared as fitted on ``fitted_on`` (itself by default)."""
    source = fitted_on or collection

    def prepare() -> Prepared:
        rows = workspace.material(collection).features(settings.encoder, settings.input_size(collection))
        preparation = _preparation(workspace, source, settings)
        return Prepared(run(preparation, rows[0]), run(preparation, rows[1]))

    return workspace.remembered(f"prepared-{settings.encoder}-{collection}-from-{source}", prepare)


def _preparation(workspace: Workspace, source: str, settings: PaperSettings) -> FeaturePreparation:
    def fit() -> FeaturePreparation:
        _, basis = workspace.material(source).features(settings.encoder, settings.input_size(source))
        return FeaturePreparation.fit(np.array(basis), min(PREPARED_DIM, len(basis) - 1), whiten=0.0)

    return workspace.remembered(f"preparation-{settings.encoder}-{source}", fit)


def _pictures_with_copies(
    workspace: Workspace, collection: str, settings: PaperSettings, gallery: NDArray[np.float32]
) -> TrainingSet:
    """Prepared features of evenly spaced gallery pictures, and of an edited copy of each."""
    rows = np.linspace(0, len(gallery) - 1, min(MOST_COPIES, len(gallery))).astype(np.int64)
    material, side = workspace.material(collection), settings.input_size(collection)
    copies = material.copies(settings.encoder, side, COPY, rows)
    views = run(_preparation(workspace, collection, settings), copies)[None]
    return TrainingSet(gallery[rows], views=views)


def configure_method(
    method: HashMethod, collection: str, size: int, settings: PaperSettings, *, tuned: bool = True
) -> HashMethod:
    """Configure a method for a collection and for the run's number of epochs.

    Args:
        method: The method with its defaults.
        collection: The collection it is fitted on.
        size: Number of pictures in its gallery.
        settings: Settings of the run.
        tuned: Use the settings chosen by the labels of a validation part of the collection; otherwise the
            defaults of ``lookalike train``.
    """
    if isinstance(method, GradientMethod):
        method = replace(method, epochs=settings.method_epochs)
    if not tuned:
        return replace(method, **DEFAULT_SETTINGS.get(method.name, {}))
    if isinstance(method, DiffusionSimilarity):
        method = replace(method, **SIMILARITY_SETTINGS[collection])
    if isinstance(method, NeighbourContrast):
        method = replace(method, neighbours=NEIGHBOURS[collection])
    if isinstance(method, DiffusionContrast):
        neighbours = max(NEIGHBOURS["caltech101"], size // DIFFUSION_SHARE[collection])
        method = replace(method, neighbours=neighbours, **DIFFUSION_SETTINGS[collection])
        if collection == "cifar10":
            method = replace(method, reconstruction=0.0)
    return method


def is_tuned(method: HashMethod, collection: str) -> bool:
    """Whether settings of the method were chosen on a validation part of the collection."""
    size, settings = 10_000, PaperSettings()
    default, tuned = (
        configure_method(method, collection, size, settings, tuned=choice).settings()
        for choice in (False, True)
    )
    return default != tuned


def labels_seen(method: HashMethod, collection: str, *, tuned: bool) -> str:
    """Say which labels were seen on the way to a figure, by the encoder or by the choice of settings."""
    has_chosen = isinstance(method, NeighbourContrast | DiffusionSimilarity)
    if has_chosen and (collection == DEFAULTS_CHOSEN_ON or (tuned and is_tuned(method, collection))):
        return TUNED_LABELS
    return ENCODER_LABELS


def method_cell(
    workspace: Workspace,
    collection: str,
    method: HashMethod,
    bits: int,
    settings: PaperSettings,
    seed: int,
    *,
    fitted_on: str | None = None,
    labels: NDArray[np.int64] | None = None,
    variant: str = "",
    tuned: bool = True,
    part: Part = Part.METHODS,
) -> dict[str, Any]:
    """Fit a hash method to prepared features of one collection, and measure it on the same or another one.

    Args:
        workspace: Where cells are kept.
        collection: The collection to search.
        method: The hash method.
        bits: Code length.
        settings: Encoder and input sizes.
        seed: Seed of the method.
        fitted_on: The collection to fit on; ``collection`` by default.
        labels: Labels of that gallery, −1 where unknown.
        variant: Distinguishes cells of the same method.
        tuned: Use the settings chosen for the collection instead of the defaults.
        part: The part of the run that the cell belongs to.
    """
    source = fitted_on or collection
    size = len(workspace.material(source).split.gallery)
    fitted = configure_method(method, source, size, settings, tuned=tuned)
    # Different settings give a different cell.
    digest = sha256_hex(repr(sorted(fitted.settings().items())).encode())[:8]
    what = "-".join(filter(None, (settings.encoder, fitted.name, variant, f"{bits}-{seed}-{digest}")))

    def fit() -> nn.Module:
        basis = prepare_features(workspace, source, settings)
        if fitted.needs_views:
            training = _pictures_with_copies(workspace, source, settings, basis.gallery)
        else:
            training = TrainingSet(basis.gallery, labels)
        return fitted.fit(training, bits, seed)

    def compute() -> dict[str, Any]:
        target = prepare_features(workspace, collection, settings, fitted_on=source)
        layer = workspace.remembered(f"{source}-{what}", fit)
        return {
            "collection": collection,
            "fitted_on": source,
            "method": fitted.name,
            "settings": fitted.settings(),
            "source": fitted.source,
            "bits": bits,
            "seed": seed,
            "encoder": settings.encoder,
            "codes": evaluate_layer(
                layer, target.queries, target.gallery, workspace.material(collection).labels
            ),
            "protocol": workspace.material(collection).protocol(seed).as_dict(),
        }

    return workspace.cell(f"{workspace.name(collection)}-from-{workspace.name(source)}-{what}", compute, part)


def float_cell(
    workspace: Workspace, collection: str, settings: PaperSettings, *, fitted_on: str | None = None
) -> dict[str, Any]:
    """Measure float features by cosine, for comparison with codes: raw, prepared, expanded by neighbours."""
    source = fitted_on or collection

    def compute() -> dict[str, Any]:
        material = workspace.material(collection)
        raw = material.features(settings.encoder, settings.input_size(collection))
        ready = prepare_features(workspace, collection, settings, fitted_on=source)
        prepared = ready.queries, ready.gallery
        return {
            "collection": collection,
            "fitted_on": source,
            "encoder": settings.encoder,
            "features": stored_figures(evaluate_features(np.array(raw[0]), np.array(raw[1]), material.labels)),
            "prepared": stored_figures(evaluate_features(*prepared, labels=material.labels)),
            "expanded": stored_figures(evaluate_features(*expand(*prepared), labels=material.labels)),
            "protocol": material.protocol().as_dict(),
        }

    names = f"{workspace.name(collection)}-from-{workspace.name(source)}"
    return workspace.cell(f"{names}-{settings.encoder}-float", compute)
