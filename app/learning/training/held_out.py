"""The retrieval figure by which a run is stopped early."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.domain.codes import pack_signs
from app.encoding.preprocess import Preprocessing
from app.learning.datasets.splits import Split
from app.learning.evaluation.metrics import figures, rank_codes
from app.learning.training.cache import stacked

MOST_GALLERY = 2000
MOST_QUERIES = 500
BATCH = 500


def held_out_map(split: Split, how: Preprocessing) -> Callable[[nn.Module], float]:
    """A function from a network to the mAP of its codes on part of a split.

    Args:
        split: Gallery and queries; at most 2,000 and 500, evenly spread, are kept in memory.
        how: How pictures become the network's input.
    """
    gallery, queries = (
        part.subset(np.linspace(0, len(part) - 1, min(most, len(part))).astype(np.int64))
        for part, most in ((split.gallery, MOST_GALLERY), (split.queries, MOST_QUERIES))
    )
    pictures = [stacked(part.prepared(how), len(part)) for part in (queries, gallery)]

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
