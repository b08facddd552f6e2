"""Train a network from pictures, in one process or under torchrun, and write its artifact."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.domain.ids import sha256_hex
from app.encoding.artifact import Artifact, load_artifact
from app.learning.datasets.splits import Split, validation_split
from app.learning.nn.model import HashingModel
from app.learning.training.cache import stacked
from app.learning.training.distributed import Ranks
from app.learning.training.export import export_fp32
from app.learning.training.held_out import BATCH, held_out_map
from app.learning.training.make import write_siblings
from app.learning.training.measure import Features
from app.learning.training.networks import NETWORKS
from app.learning.training.recipe import Recipe
from app.learning.training.trainer import History, Progress, TrainingSettings, Watch, train
from app.learning.training.watching import HeldOut, Watching

ALONE = Ranks()


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a training does that its result does not depend on, but for the early stop."""

    checkpoint: Path | None = None
    """Where to resume from, if training may be interrupted."""
    patience: int | None = None
    """Epochs without a better held-out figure before an early stop; a tenth of the gallery is then held out."""
    progress: Progress | None = None
    ranks: Ranks = ALONE
    bf16: bool | None = False
    """See ``TrainingSettings``; off by default, so that machines with and without it make the same model."""
    watching: Watching | None = None
    """Who is told of each epoch's figures; its checkpoint is the one to resume from."""


def checkpoint_path(folder: Path, name: str, *what: object) -> Path:
    """Where the training of a model resumes from; another source, method or setting is another training."""
    return folder / f"{name}-{sha256_hex(repr(what).encode())[:12]}.pt"


def make_network_artifact(
    recipe: Recipe, split: Split, out_dir: Path, run: Run | None = None
) -> list[Artifact]:
    """Train a recipe's network and write it; fp32, since it is small.

    Args:
        recipe: One sibling, the network and the epochs.
        split: What to learn from and to measure on.
        out_dir: The artifact's parent folder.
        run: Checkpoint, early stop, progress, ranks. The first rank writes; all return what it wrote.
    """
    run = run or Run()
    how, (sibling,) = recipe.preprocessing, recipe.siblings
    torch.manual_seed(recipe.seed)
    network = NETWORKS[recipe.network or ""].build(sibling.bits)
    validation = validation_split(split.gallery) if run.patience is not None else None
    known = validation.gallery if validation else split.gallery
    learned = replace(split, gallery=known).learned
    settings = TrainingSettings(
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        seed=recipe.seed,
        patience=run.patience,
        bf16=run.bf16,
    )
    pictures = stacked(learned.prepared(how), len(learned))
    checkpoint, progress = run.checkpoint, run.progress
    if run.watching is not None:
        queries = stacked(split.queries.prepared(how), len(split.queries))
        held_out = HeldOut(pictures[: len(known)], queries, known.labels, split.queries.labels)
        checkpoint = run.watching.checkpoint
        progress = _teller(run.watching, held_out, network, settings.epochs)
    watch = Watch(held_out_map(validation, how) if validation else None, progress)
    train(network, pictures, settings, checkpoint, watch=watch, ranks=run.ranks)
    if run.ranks.is_first:
        _write(recipe, network.to("cpu"), split, out_dir)
        if checkpoint is not None:
            # A finished run must not be taken for the beginning of one on other pictures.
            checkpoint.unlink(missing_ok=True)
    run.ranks.wait()
    return [load_artifact(out_dir / sibling.name)]


def _teller(watching: Watching, held_out: HeldOut, network: nn.Module, epochs: int) -> Progress:
    @torch.no_grad()
    def encode(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        network.eval()
        device = next(network.parameters()).device
        parts = np.array_split(pictures, 1 + len(pictures) // BATCH)
        y: NDArray[np.float32] = torch.cat(
            [network.encode(torch.from_numpy(part).to(device)).float().cpu() for part in parts]
        ).numpy()
        return y

    def tell(history: History) -> None:
        loss = sum(history.terms[-1].values())
        watching.report(held_out.measure(encode, epoch=history.epochs, epochs=epochs, loss=loss))

    return tell


def _write(recipe: Recipe, network: nn.Module, split: Split, out_dir: Path) -> None:
    how, (sibling,) = recipe.preprocessing, recipe.siblings
    model = HashingModel(network.encoder, nn.Identity(), {sibling.output: network.hash_layer}).eval()
    with tempfile.TemporaryDirectory() as scratch:
        trunk, whole = Path(scratch) / "trunk.onnx", Path(scratch) / "model.onnx"
        export_fp32(model.encoder, how.input_size, ["features"], trunk)
        export_fp32(model, how.input_size, model.output_names, whole)
        write_siblings(recipe, model, split, whole, {"fp32": Features.of(trunk, split, how)}, out_dir)
