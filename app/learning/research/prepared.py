"""Prepared features of a collection, and one cell a hash method on them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from app.domain.ids import sha256_hex
from app.learning.evaluation.retrieval import evaluate_features
from app.learning.nn.preparation import FeaturePreparation
from app.learning.research.autoencoder import evaluate_layer, run
from app.learning.research.settings import PaperSettings
from app.learning.research.workspace import Workspace
from app.learning.training.methods.base import HashMethod, TrainingSet
from app.learning.training.methods.diffusion import DiffusionContrast
from app.learning.training.methods.diffusion_similarity import DiffusionSimilarity
from app.learning.training.methods.gradient import GradientMethod
from app.learning.training.methods.neighbour_contrast import NeighbourContrast

PREPARED_DIM = 256
NEIGHBOURS = {"cifar10": 100, "caltech101": 10}
"""Kinds of 5,000 pictures have more true neighbours than kinds of 80; chosen on validation parts."""
WALKS_REACH = {"cifar10": 50, "caltech101": 1000}
"""One gallery picture in so many is a positive of diffusion contrast, and ten at least."""
WALKS = {"cifar10": {"modes": 10, "steps": 8}, "caltech101": {"modes": 150, "steps": 4}}
"""Of the embedding; as the reach, chosen on validation parts: about as many modes as kinds."""
SIMILAR: dict[str, dict[str, Any]] = {
    "cifar10": {"modes": 25, "steps": 8, "neighbours": 100, "temperature": 0.3},
    "caltech101": {"modes": 250},
}
"""Of diffusion similarity; chosen on validation parts too."""
COPY = "crop_50"
"""The edit whose copies CIBHash learns from."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Prepared features of one collection, by a preparation that may come from another one."""

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


def prepared_copies(workspace: Workspace, collection: str, settings: PaperSettings) -> NDArray[np.float32]:
    """Prepared features of an edited copy of each gallery picture, shape (1, n, m), for CIBHash."""
    copies = workspace.material(collection).copies(settings.encoder, settings.input_size(collection), COPY)
    return run(_preparation(workspace, collection, settings), copies)[None]


def suited(method: HashMethod, collection: str, size: int, settings: PaperSettings) -> HashMethod:
    """The method with as many epochs as there is time for, and what suits a collection's kinds.

    Args:
        method: With its defaults.
        collection: What it is fitted on.
        size: Pictures in its gallery.
        settings: The run's.
    """
    if isinstance(method, GradientMethod):
        method = replace(method, epochs=settings.method_epochs)
    if isinstance(method, DiffusionSimilarity):
        method = replace(method, **SIMILAR[collection])
    if isinstance(method, NeighbourContrast):
        method = replace(method, neighbours=NEIGHBOURS[collection])
    if isinstance(method, DiffusionContrast):
        neighbours = max(NEIGHBOURS["caltech101"], size // WALKS_REACH[collection])
        method = replace(method, neighbours=neighbours, **WALKS[collection])
        if collection == "cifar10":
            method = replace(method, reconstruction=0.0)
    return method


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
) -> dict[str, Any]:
    """A hash method on prepared features, fitted on one collection and measured on it or another.

    Args:
        workspace: Where cells are kept.
        collection: What is searched.
        method: Who hashes.
        bits: Code length.
        settings: Encoder and input sizes.
        seed: Of the method.
        fitted_on: The collection whose gallery it learns from; ``collection`` by default.
        labels: Labels of that gallery, −1 where unknown.
        variant: Tells cells of one method apart.
    """
    source = fitted_on or collection
    fitted = suited(method, source, len(workspace.material(source).split.gallery), settings)
    # Other settings make another cell.
    digest = sha256_hex(repr(sorted(fitted.settings().items())).encode())[:8]
    what = "-".join(filter(None, (settings.encoder, fitted.name, variant, f"{bits}-{seed}-{digest}")))

    def fit() -> nn.Module:
        basis = prepare_features(workspace, source, settings)
        views = prepared_copies(workspace, source, settings) if fitted.needs_views else None
        return fitted.fit(TrainingSet(basis.gallery, labels, views), bits, seed)

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

    return workspace.cell(f"{workspace.name(collection)}-from-{workspace.name(source)}-{what}", compute)


def float_cell(
    workspace: Workspace, collection: str, settings: PaperSettings, *, fitted_on: str | None = None
) -> dict[str, Any]:
    """The float features themselves by cosine, as they are and prepared: what codes are compared with."""
    source = fitted_on or collection

    def compute() -> dict[str, Any]:
        material = workspace.material(collection)
        raw = material.features(settings.encoder, settings.input_size(collection))
        ready = prepare_features(workspace, collection, settings, fitted_on=source)
        return {
            "collection": collection,
            "fitted_on": source,
            "encoder": settings.encoder,
            "features": evaluate_features(np.array(raw[0]), np.array(raw[1]), material.labels).as_dict(),
            "prepared": evaluate_features(ready.queries, ready.gallery, material.labels).as_dict(),
            "protocol": material.protocol().as_dict(),
        }

    names = f"{workspace.name(collection)}-from-{workspace.name(source)}"
    return workspace.cell(f"{names}-{settings.encoder}-float", compute)
