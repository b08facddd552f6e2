"""Train the paper's network under one reading of its loss, and measure it."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.learning.evaluation.retrieval import Labels, evaluate_codes, evaluate_features
from app.learning.nn.autoencoder import HashingAutoencoder, LossReading
from app.learning.research.settings import PaperSettings
from app.learning.research.table import stored_figures
from app.learning.research.workspace import CollectionData, Part, Workspace, claimed
from app.learning.training.end_to_end.loop import LoopSettings, TrainingHistory, run_training_loop
from app.learning.training.methods.base import HashMethod, TrainingSet

SHOWN = 8
"""Number of reconstructions kept for the report."""


def trained_autoencoder(
    workspace: Workspace, collection: str, reading: LossReading, bits: int, settings: PaperSettings, seed: int
) -> tuple[HashingAutoencoder, TrainingHistory]:
    """Train or resume the network and return it with its history.

    Raises:
        InProgress: Another process is training it.
        ValueError: The checkpoint has more epochs than the run has.
    """
    torch.manual_seed(seed)
    network = HashingAutoencoder(bits, reading, quantisation_weight=settings.quantisation_weight)
    _, gallery = workspace.material(collection).pixels()
    key = _name(workspace, collection, reading, bits, settings, seed)
    training = LoopSettings(epochs=settings.epochs, seed=seed)
    checkpoint = workspace.checkpoint(key)
    with claimed(checkpoint):
        history = run_training_loop(network, gallery, training, checkpoint)
    if history.epochs > settings.epochs:
        raise ValueError(
            f"{key} is already trained for {history.epochs} epochs; run with --epochs {history.epochs} or "
            "more, or into another folder"
        )
    return network, history


def autoencoder_cell(
    workspace: Workspace, collection: str, reading: LossReading, bits: int, settings: PaperSettings, seed: int
) -> dict[str, Any]:
    """Measure codes and latent of a trained network on its own collection."""

    def compute() -> dict[str, Any]:
        network, history = trained_autoencoder(workspace, collection, reading, bits, settings, seed)
        material = workspace.material(collection)
        queries, gallery = material.pixels()
        # Pictures are in order of kinds.
        shown = gallery[np.linspace(0, len(gallery) - 1, SHOWN).astype(np.int64)]
        query_u, gallery_u = (run(network.encode, part) for part in (queries, gallery))
        query_z, gallery_z = (run(network.encoder, part) for part in (queries, gallery))
        latent = evaluate_features(query_z, gallery_z, material.labels, squared_distance=True)
        return {
            "collection": collection,
            "reading": reading.value,
            "bits": bits,
            "seed": seed,
            "history": asdict(history),
            "codes": stored_figures(evaluate_codes(query_u, gallery_u, material.labels)),
            "latent": stored_figures(latent),
            "originals": shown.tolist(),
            "rebuilt": (run(network.rebuild, shown) * 255).round().astype(np.uint8).tolist(),
            "protocol": material.protocol(seed).as_dict(),
        }

    name = _name(workspace, collection, reading, bits, settings, seed)
    return workspace.cell(f"{name}-{settings.epochs}", compute, Part.NETWORKS)


def _name(
    workspace: Workspace, collection: str, reading: LossReading, bits: int, settings: PaperSettings, seed: int
) -> str:
    weight = f"{settings.quantisation_weight:g}"
    return f"{workspace.name(collection)}-network-{reading.value}-{bits}-{seed}-lambda-{weight}"


def hashed_latent(
    network: HashingAutoencoder, material: CollectionData, method: HashMethod, bits: int, seed: int
) -> dict[str, Any]:
    """Hash the latent of a trained network with another method, and measure the codes."""
    queries, gallery = (run(network.encoder, part) for part in material.pixels())
    layer = method.fit(TrainingSet(gallery), bits, seed)
    return evaluate_layer(layer, queries, gallery, material.labels)


def evaluate_layer(
    layer: nn.Module, queries: NDArray[np.float32], gallery: NDArray[np.float32], labels: Labels
) -> dict[str, Any]:
    """Measure a hash layer on features of queries and gallery."""
    return stored_figures(evaluate_codes(run(layer, queries), run(layer, gallery), labels))


@torch.no_grad()
def run(module: Callable[[Tensor], Tensor], rows: NDArray[Any], batch: int = 2048) -> NDArray[np.float32]:
    """Apply a module, or a method of one, to rows in memory, batch by batch."""
    outputs = [module(torch.from_numpy(np.array(rows[i : i + batch]))) for i in range(0, len(rows), batch)]
    return torch.cat(outputs).numpy()
