"""The training loop of a network: epochs, checkpoints, early stop; resuming does not change the result."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from app.learning.training.end_to_end.distributed import Ranks
from app.learning.training.monitoring.checkpoints import load_checkpoint, save_checkpoint

COLLAPSED_EPOCHS = 3
PROBED_PICTURES = 2000


class StopReason(StrEnum):
    """Why training ended."""

    EPOCHS = "all epochs done"
    EARLY = "the held-out figure stopped rising"
    COLLAPSED = "one code for all pictures in three epochs running"


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Hyperparameters of the loop; the defaults are the paper's."""

    epochs: int = 100
    batch: int = 128
    """Pictures per step, over all ranks."""
    learning_rate: float = 1e-4
    """Adam's learning rate."""
    seed: int = 0
    patience: int | None = None
    """Epochs without a better held-out figure before an early stop; None disables it."""
    bf16: bool | None = None
    """Compute in bfloat16; None uses it if the device has hardware support."""


@dataclass(slots=True)
class TrainingHistory:
    """Measurements of each epoch."""

    terms: list[dict[str, float]] = field(default_factory=list)
    """Mean of each loss term."""
    held_out: list[float] = field(default_factory=list)
    """Held-out figure, if one was requested."""
    distinct: list[int] = field(default_factory=list)
    """Number of distinct codes among the first 2,000 pictures."""
    seconds: list[float] = field(default_factory=list, compare=False)
    """Duration of the epoch."""
    end: str | None = None
    """A ``StopReason``; None while training continues."""

    @property
    def epochs(self) -> int:
        """Number of completed epochs."""
        return len(self.terms)


ReportProgress = Callable[[TrainingHistory, int], None]
"""Called with the history and the total number of epochs."""


@dataclass(frozen=True, slots=True)
class LoopHooks:
    """Callbacks on the first rank after each epoch."""

    held_out: Callable[[nn.Module], float] | None = None
    """A retrieval figure on pictures that are not trained on; larger is better."""
    progress: ReportProgress | None = None


def run_training_loop(
    network: nn.Module,
    pictures: NDArray[np.uint8],
    settings: LoopSettings,
    checkpoint: Path | None = None,
    *,
    hooks: LoopHooks | None = None,
    ranks: Ranks | None = None,
) -> TrainingHistory:
    """Minimise the sum of the terms that ``network(batch)`` returns; resume from the checkpoint if it exists.

    The order and the noise of an epoch depend on (seed, epoch) alone, so a run that is killed and resumed ends
    with the same weights as an uninterrupted one.

    Args:
        network: Maps (n, S, S, 3) uint8 to a dict of loss terms; its ``encode`` maps them to u (n, bits).
        pictures: Prepared pictures, shape (n, S, S, 3), uint8; batches are views of it.
        settings: Hyperparameters.
        checkpoint: File to resume from and to write after each epoch.
        hooks: Held-out figure and progress report.
        ranks: The place of this process among those of torchrun.
    """
    ranks, hooks = ranks or Ranks(), hooks or LoopHooks()
    network.to(ranks.device)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    history = _resume(checkpoint, network, optimiser)
    if history.end == StopReason.EPOCHS.value and history.epochs < settings.epochs:
        history.end = None  # more epochs were requested of a finished run
    replica = DistributedDataParallel(network) if ranks.world > 1 else network
    while history.end is None and history.epochs < settings.epochs:
        begin = time.perf_counter()
        history.terms.append(_epoch(replica, optimiser, pictures, settings, history.epochs, ranks))
        history.seconds.append(time.perf_counter() - begin)
        _measure_epoch(network, pictures, history, hooks, ranks)
        history.end = _reason_to_stop(history, settings)
        if checkpoint is not None and ranks.is_first:
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            save_checkpoint(checkpoint, {**state, "history": asdict(history)})
        if hooks.progress is not None and ranks.is_first:
            hooks.progress(history, settings.epochs)
    network.eval()
    return history


def _measure_epoch(
    network: nn.Module, pictures: NDArray[np.uint8], history: TrainingHistory, hooks: LoopHooks, ranks: Ranks
) -> None:
    """Measure the first rank's network only: batch-norm running means differ slightly between ranks."""
    distinct = _distinct_codes(network, pictures[:PROBED_PICTURES], ranks) if ranks.is_first else 0
    history.distinct.append(ranks.broadcast(distinct))
    if hooks.held_out is not None:
        history.held_out.append(ranks.broadcast(hooks.held_out(network) if ranks.is_first else 0.0))


def _resume(checkpoint: Path | None, network: nn.Module, optimiser: torch.optim.Optimizer) -> TrainingHistory:
    state = load_checkpoint(checkpoint) if checkpoint is not None else None
    if state is None:
        return TrainingHistory()
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return TrainingHistory(**state["history"])


def _epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    pictures: NDArray[np.uint8],
    settings: LoopSettings,
    epoch: int,
    ranks: Ranks,
) -> dict[str, float]:
    network.train()
    torch.manual_seed(settings.seed * 100_003 + epoch * ranks.world + ranks.rank)
    sums: dict[str, float] = {}
    steps = 0
    for batch in _batches(pictures, settings, epoch, ranks):
        with _autocast(settings, ranks):
            terms: dict[str, Tensor] = network(batch.to(ranks.device))
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        steps += 1
        for name, term in terms.items():
            sums[name] = sums.get(name, 0.0) + float(term.detach())
    return ranks.mean({name: total / steps for name, total in sums.items()})


def _batches(pictures: NDArray[np.uint8], settings: LoopSettings, epoch: int, ranks: Ranks) -> Iterator[Tensor]:
    """This rank's share of each batch; a smaller last batch is dropped."""
    order = np.random.default_rng([settings.seed, epoch]).permutation(len(pictures))
    batch = min(settings.batch, len(pictures))
    share = batch // ranks.world
    for start in range(0, len(order) - batch + 1, batch):
        rows = order[start + ranks.rank * share : start + (ranks.rank + 1) * share]
        yield torch.from_numpy(pictures[np.sort(rows)])


def _autocast(settings: LoopSettings, ranks: Ranks) -> AbstractContextManager[Any]:
    device = ranks.device.partition(":")[0]
    bf16 = has_bf16(device) if settings.bf16 is None else settings.bf16
    return torch.autocast(device, torch.bfloat16) if bf16 else nullcontext()


def has_bf16(device: str) -> bool:
    """Whether the device has hardware support for bfloat16."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - torch has no public name for it


@torch.no_grad()
def _distinct_codes(network: nn.Module, pictures: NDArray[np.uint8], ranks: Ranks) -> int:
    network.eval()
    signs = network.encode(torch.from_numpy(np.array(pictures)).to(ranks.device)) >= 0
    return len(torch.unique(signs, dim=0))


def _reason_to_stop(history: TrainingHistory, settings: LoopSettings) -> str | None:
    if len(history.distinct) >= COLLAPSED_EPOCHS and max(history.distinct[-COLLAPSED_EPOCHS:]) == 1:
        return StopReason.COLLAPSED.value
    if settings.patience is not None and history.held_out:
        since_best = len(history.held_out) - 1 - int(np.argmax(history.held_out))
        if since_best >= settings.patience:
            return StopReason.EARLY.value
    return StopReason.EPOCHS.value if history.epochs >= settings.epochs else None
