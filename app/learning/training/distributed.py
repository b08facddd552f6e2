"""One process or many: what ``torchrun`` sets up, and codes gathered from all ranks with their gradients."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed.nn.functional import all_gather

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @property
    def is_first(self) -> bool:
        """Whether this process writes checkpoints and reports."""
        return self.rank == 0

    def of_first(self, value: T) -> T:
        """The first rank's value, on every rank: what decides may not differ between them."""
        if self.world == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Return when every rank has come here."""
        if self.world > 1:
            distributed.barrier()

    def mean(self, figures: dict[str, float]) -> dict[str, float]:
        """Means over all ranks, which hold figures of the same names."""
        if self.world == 1:
            return figures
        totals = torch.tensor(list(figures.values()), dtype=torch.float32, device=self.device)
        distributed.all_reduce(totals)
        return dict(zip(figures, (totals / self.world).tolist(), strict=True))


@contextmanager
def ranks() -> Iterator[Ranks]:
    """Join the processes that torchrun started, or train alone."""
    has_gpu = torch.cuda.is_available()
    if "RANK" not in os.environ:
        yield Ranks(device="cuda" if has_gpu else "cpu")
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = f"cuda:{local}" if has_gpu else "cpu"
    distributed.init_process_group("nccl" if has_gpu else "gloo")
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()


def gather(rows: Tensor) -> Tensor:
    """Rows of all ranks, (world · n, d), gradients flowing back to the rank that each came from.

    A contrastive term on the gathered rows sees every rank's pictures as negatives, as if one process had the
    whole batch.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return rows
    return torch.cat(list(all_gather(rows)))
