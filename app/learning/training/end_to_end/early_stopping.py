"""The held-out retrieval figure that decides when training stops early."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.domain.codes import pack_signs
from app.encoding.preprocess import Preprocessing
from app.learning.datasets.splits import Split
from app.learning.evaluation.metrics import figures, rank_codes
from app.learning.training.features.arrays import stack_batches

MAX_GALLERY = 2000
MAX_QUERIES = 500
BATCH = 500


def validation_map(split: Split, how: Preprocessing) -> Callable[[nn.Module], float]:
    """Return a function that computes the mAP of a network's codes on a sample of a split.

    Args:
        split: Gallery and queries; an evenly spaced sample of at most 2,000 and 500 is kept in memory.
        how: Preprocessing of the network's input.
    """
    gallery, queries = (
        part.subset(np.linspace(0, len(part) - 1, min(most, len(part))).astype(np.int64))
        for part, most in ((split.gallery, MAX_GALLERY), (split.queries, MAX_QUERIES))
    )
    pictures = [stack_batches(part.prepared(how), len(part)) for part in (queries, gallery)]

    def measure(network: nn.Module) -> float:
        query_codes, gallery_codes = (_codes(network, part) for part in pictures)
        bits = int(network.bits)
        return figures(rank_codes(query_codes, queries.labels, gallery_codes, gallery.labels, bits)).map_all

    return measure


@torch.no_grad()
def _codes(network: nn.Module, pictures: NDArray[np.uint8]) -> NDArray[np.uint64]:
    network.eval()
    device = next(network.parameters()).device
    batches = (
        torch.from_numpy(pictures[start : start + BATCH]).to(device) for start in range(0, len(pictures), BATCH)
    )
    return np.concatenate([pack_signs(network.encode(batch).float().cpu().numpy()) for batch in batches])
