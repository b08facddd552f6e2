"""Train in one process or in those that ``torchrun`` starts, and exchange rows between them with gradients."""

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
    """The place of this process among those that train together."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @property
    def is_first(self) -> bool:
        """Whether this process writes checkpoints and reports."""
        return self.rank == 0

    def broadcast(self, value: T) -> T:
        """Broadcast the first rank's value, so that all ranks take the same decisions."""
        if self.world == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def wait(self) -> None:
        """Wait until every rank has arrived."""
        if self.world > 1:
            distributed.barrier()

    def mean(self, figures: dict[str, float]) -> dict[str, float]:
        """Average figures over all ranks, which must have the same names."""
        if self.world == 1:
            return figures
        totals = torch.tensor(list(figures.values()), dtype=torch.float32, device=self.device)
        distributed.all_reduce(totals)
        return dict(zip(figures, (totals / self.world).tolist(), strict=True))


@contextmanager
def join_ranks() -> Iterator[Ranks]:
    """Join the process group if torchrun started this process; otherwise train alone."""
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


def gather_rows(rows: Tensor) -> Tensor:
    """Gather the rows of all ranks, (world · n, d); gradients flow back to the rank that each row came from.

    A contrastive loss on the gathered rows has every rank's pictures as negatives, as if one process held the
    whole batch.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return rows
    return torch.cat(list(all_gather(rows)))
