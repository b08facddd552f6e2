"""Train a network on pictures: epochs, checkpoints, early stop; the same result however often it is killed."""

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

from app.learning.training.checkpoints import load_checkpoint, save_checkpoint
from app.learning.training.distributed import Ranks

COLLAPSED_EPOCHS = 3
PROBE = 2000


class End(StrEnum):
    """Why training ended."""

    EPOCHS = "all epochs done"
    EARLY = "the held-out figure stopped rising"
    COLLAPSED = "one code for all pictures in three epochs running"


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How long and how fast; the defaults are the paper's."""

    epochs: int = 100
    batch: int = 128
    """Pictures a step, over all ranks."""
    learning_rate: float = 1e-4
    """Adam's."""
    seed: int = 0
    patience: int | None = None
    """Epochs without a better held-out figure before an early stop; None never stops early."""
    bf16: bool | None = None
    """Compute in bfloat16; None wherever the processor has it."""


@dataclass(slots=True)
class History:
    """What was seen, epoch by epoch."""

    terms: list[dict[str, float]] = field(default_factory=list)
    """Mean of each term of the loss."""
    held_out: list[float] = field(default_factory=list)
    """The held-out figure, if one is asked for."""
    distinct: list[int] = field(default_factory=list)
    """Number of different codes among the first 2,000 pictures."""
    seconds: list[float] = field(default_factory=list, compare=False)
    """Time that each epoch took."""
    end: str | None = None
    """Why training ended; None while it goes on."""

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return len(self.terms)


Progress = Callable[[History], None]


@dataclass(frozen=True, slots=True)
class Watch:
    """What to look at after every epoch, on the first rank."""

    held_out: Callable[[nn.Module], float] | None = None
    """A retrieval figure on pictures that are not trained on; larger is better."""
    progress: Progress | None = None


def train(
    network: nn.Module,
    pictures: NDArray[np.uint8],
    settings: TrainingSettings,
    checkpoint: Path | None = None,
    *,
    watch: Watch | None = None,
    ranks: Ranks | None = None,
) -> History:
    """Minimise the sum of the terms that ``network(batch)`` returns, from the last checkpoint if there is one.

    Every epoch draws its order and its noise from (seed, epoch) alone, so that a run that is killed and resumed
    ends with the weights of one that was not.

    Args:
        network: Maps (n, S, S, 3) uint8 to a dict of loss terms; its ``encode`` maps them to u (n, bits).
        pictures: Prepared pictures, shape (n, S, S, 3), uint8; batches are views of it.
        settings: How long and how fast.
        checkpoint: File to resume from and to write after every epoch.
        watch: Held-out figure and progress.
        ranks: This process among those of torchrun.
    """
    ranks, watch = ranks or Ranks(), watch or Watch()
    network.to(ranks.device)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    history = _resume(checkpoint, network, optimiser)
    if history.end == End.EPOCHS.value and history.epochs < settings.epochs:
        history.end = None  # a finished run goes on when it is asked for more epochs
    replica = DistributedDataParallel(network) if ranks.world > 1 else network
    while history.end is None and history.epochs < settings.epochs:
        begin = time.perf_counter()
        history.terms.append(_epoch(replica, optimiser, pictures, settings, history.epochs, ranks))
        history.seconds.append(time.perf_counter() - begin)
        _look(network, pictures, history, watch, ranks)
        history.end = _reason_to_stop(history, settings)
        if checkpoint is not None and ranks.is_first:
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            save_checkpoint(checkpoint, {**state, "history": asdict(history)})
        if watch.progress is not None and ranks.is_first:
            watch.progress(history)
    network.eval()
    return history


def _look(
    network: nn.Module, pictures: NDArray[np.uint8], history: History, watch: Watch, ranks: Ranks
) -> None:
    """Codes and held-out figure of the first rank's network; the others' running means differ a little."""
    distinct = _distinct_codes(network, pictures[:PROBE], ranks) if ranks.is_first else 0
    history.distinct.append(ranks.of_first(distinct))
    if watch.held_out is not None:
        history.held_out.append(ranks.of_first(watch.held_out(network) if ranks.is_first else 0.0))


def _resume(checkpoint: Path | None, network: nn.Module, optimiser: torch.optim.Optimizer) -> History:
    state = load_checkpoint(checkpoint) if checkpoint is not None else None
    if state is None:
        return History()
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return History(**state["history"])


def _epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    pictures: NDArray[np.uint8],
    settings: TrainingSettings,
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


def _batches(
    pictures: NDArray[np.uint8], settings: TrainingSettings, epoch: int, ranks: Ranks
) -> Iterator[Tensor]:
    """This rank's share of every batch; the last, smaller batch is left out."""
    order = np.random.default_rng([settings.seed, epoch]).permutation(len(pictures))
    batch = min(settings.batch, len(pictures))
    share = batch // ranks.world
    for start in range(0, len(order) - batch + 1, batch):
        rows = order[start + ranks.rank * share : start + (ranks.rank + 1) * share]
        yield torch.from_numpy(pictures[np.sort(rows)])


def _autocast(settings: TrainingSettings, ranks: Ranks) -> AbstractContextManager[Any]:
    device = ranks.device.partition(":")[0]
    bf16 = has_bf16(device) if settings.bf16 is None else settings.bf16
    return torch.autocast(device, torch.bfloat16) if bf16 else nullcontext()


def has_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - torch has no public name for it


@torch.no_grad()
def _distinct_codes(network: nn.Module, pictures: NDArray[np.uint8], ranks: Ranks) -> int:
    network.eval()
    signs = network.encode(torch.from_numpy(np.array(pictures)).to(ranks.device)) >= 0
    return len(torch.unique(signs, dim=0))


def _reason_to_stop(history: History, settings: TrainingSettings) -> str | None:
    if len(history.distinct) >= COLLAPSED_EPOCHS and max(history.distinct[-COLLAPSED_EPOCHS:]) == 1:
        return End.COLLAPSED.value
    if settings.patience is not None and history.held_out:
        since_best = len(history.held_out) - 1 - int(np.argmax(history.held_out))
        if since_best >= settings.patience:
            return End.EARLY.value
    return End.EPOCHS.value if history.epochs >= settings.epochs else None
