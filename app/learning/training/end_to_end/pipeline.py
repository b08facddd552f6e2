"""Train a network on pictures, in one process or under torchrun, and write its artifact."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.domain.ids import sha256_hex
from app.encoding.artifact import Artifact, load_artifact
from app.learning.datasets.splits import Split
from app.learning.datasets.training_splits import validation_split
from app.learning.nn.model import HashingModel
from app.learning.training.artifacts.onnx_export import export_fp32
from app.learning.training.artifacts.writing import InUse, TrainedModel, write_recipe_artifacts
from app.learning.training.end_to_end.distributed import Ranks
from app.learning.training.end_to_end.early_stopping import BATCH, validation_map
from app.learning.training.end_to_end.loop import (
    LoopHooks,
    LoopSettings,
    ReportProgress,
    TrainingHistory,
    run_training_loop,
)
from app.learning.training.end_to_end.networks import NETWORKS
from app.learning.training.features.arrays import stack_batches
from app.learning.training.features.split_features import FeatureCache, FeatureExtractor, SplitFeatures
from app.learning.training.monitoring.epochs import EpochObserver, HeldOutSet
from app.learning.training.recipe import Recipe

SINGLE_PROCESS = Ranks()


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a training run that do not change its result, except for the early stop."""

    checkpoint: Path | None = None
    """File to resume from, if training may be interrupted."""
    patience: int | None = None
    """Epochs without a better held-out figure before an early stop; a tenth of the gallery is then held out."""
    progress: ReportProgress | None = None
    ranks: Ranks = SINGLE_PROCESS
    bf16: bool | None = False
    """See ``LoopSettings``; off by default, so that machines with and without it train the same model."""
    observer: EpochObserver | None = None
    """Receives the figures of each epoch; its checkpoint replaces ``checkpoint``."""
    cache: FeatureCache | None = None
    """Keeps features for later runs."""
    shipped_dir: Path | None = None
    """Folder of shipped models: one with the same frozen encoder lends it, and its descriptor."""
    in_use: Artifact | None = None
    """The model to compare with."""


def checkpoint_path(folder: Path, name: str, *identity: object) -> Path:
    """Path of a run's checkpoint; a different source, method or setting in ``identity`` gives another path."""
    return folder / f"{name}-{sha256_hex(repr(identity).encode())[:12]}.pt"


def train_end_to_end_artifact(
    recipe: Recipe, split: Split, out_dir: Path, run: RunOptions | None = None
) -> list[Artifact]:
    """Train a recipe's network and write its artifact in float32, since the network is small.

    Args:
        recipe: A recipe with one artifact, a network and a number of epochs.
        split: What to learn from and to measure on.
        out_dir: Parent folder of the artifact.
        run: Checkpoint, early stop, progress, ranks. The first rank writes; all ranks return the artifact.
    """
    run = run or RunOptions()
    how, (spec,) = recipe.preprocessing, recipe.specs
    torch.manual_seed(recipe.seed)
    network = NETWORKS[recipe.network or ""].build(spec.bits)
    validation = validation_split(split) if run.patience is not None else None
    gallery = validation.gallery if validation else split.gallery
    training = replace(split, gallery=gallery).training_pictures
    settings = LoopSettings(
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        seed=recipe.seed,
        patience=run.patience,
        bf16=run.bf16,
    )
    pictures = stack_batches(training.prepared(how), len(training))
    checkpoint, progress = run.checkpoint, run.progress
    if run.observer is not None:
        queries = stack_batches(split.queries.prepared(how), len(split.queries))
        held_out = HeldOutSet(pictures[: len(gallery)], queries, gallery.labels, split.queries.labels)
        checkpoint = run.observer.checkpoint
        progress = _report_to(run.observer, held_out, network)
    hooks = LoopHooks(validation_map(validation, how) if validation else None, progress)
    run_training_loop(network, pictures, settings, checkpoint, hooks=hooks, ranks=run.ranks)
    if run.ranks.is_first:
        _write(recipe, network.to("cpu"), split, out_dir, run)
        if checkpoint is not None:
            # A later run on other pictures must not resume from a finished one.
            checkpoint.unlink(missing_ok=True)
    run.ranks.wait()
    return [load_artifact(out_dir / spec.name)]


def _report_to(observer: EpochObserver, held_out: HeldOutSet, network: nn.Module) -> ReportProgress:
    @torch.no_grad()
    def encode(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        network.eval()
        device = next(network.parameters()).device
        parts = np.array_split(pictures, 1 + len(pictures) // BATCH)
        y: NDArray[np.float32] = torch.cat(
            [network.encode(torch.from_numpy(part).to(device)).float().cpu() for part in parts]
        ).numpy()
        return y

    def report(history: TrainingHistory, epochs: int) -> None:
        loss = sum(history.terms[-1].values())
        observer.report(held_out.measure(encode, epoch=history.epochs, epochs=epochs, loss=loss))

    return report


def _write(recipe: Recipe, network: nn.Module, split: Split, out_dir: Path, run: RunOptions) -> None:
    how, (spec,) = recipe.preprocessing, recipe.specs
    model = HashingModel(network.encoder, nn.Identity(), {spec.output: network.hash_layer}).eval()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cache = run.cache or FeatureCache(folder / "features")
        trunk, whole = folder / "trunk.onnx", folder / "model.onnx"
        export_fp32(model.encoder, how.input_size, ["features"], trunk)
        export_fp32(model, how.input_size, model.output_names, whole)
        extractor = FeatureExtractor(trunk, how, cache)
        trained = TrainedModel(model, whole, {"fp32": SplitFeatures.of(extractor, split)}, extractor)
        in_use = None if run.in_use is None else InUse(run.in_use, folder, cache)
        write_recipe_artifacts(recipe, trained, split, out_dir, lambda _: _method_record(recipe), in_use=in_use)


def _method_record(recipe: Recipe) -> dict[str, Any]:
    network = NETWORKS[recipe.network or ""]
    return {
        "method": network.method,
        "source": network.source,
        "settings": {"epochs": recipe.epochs, "learning_rate": recipe.learning_rate},
        "labels_used": False,
    }
