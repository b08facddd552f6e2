"""Per-epoch figures of a training run, and the interface to its observers."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import pack_signs
from app.learning.evaluation.bits import bit_use
from app.learning.evaluation.metrics import figures, rank_codes

MAX_GALLERY: Final = 5_000
MAX_QUERIES: Final = 300


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """Figures of one epoch."""

    epoch: int
    """From 1."""
    epochs: int
    loss: float
    balance: float
    """See ``BitUse``: 0 is best, 1 means that no bit varies."""
    distinct: int
    """Number of different codes in the gallery, of at most 5,000 pictures."""
    held_out_map: float
    """Tie-expected mAP@1000 of at most 300 held-out queries."""

    def as_dict(self) -> dict[str, Any]:
        """The figures, rounded to the precision of a report."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class EpochObserver:
    """Receives the figures of each epoch, and says where the state to resume from is kept."""

    report: Callable[[EpochFigures], None]
    """May raise to end the training; the checkpoint then holds all epochs done so far."""
    checkpoint: Path


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutSet:
    """Data on which epochs are measured.

    Attributes:
        gallery: Inputs of the network or hash layer, shape (n, …).
        queries: The same for held-out pictures, shape (q, …).
        gallery_labels: Kinds, shape (n,), int64.
        query_labels: Kinds of the queries, shape (q,), int64.
    """

    gallery: NDArray[Any]
    queries: NDArray[Any]
    gallery_labels: NDArray[np.int64]
    query_labels: NDArray[np.int64]

    def measure(
        self, encode: Callable[[NDArray[Any]], NDArray[np.float32]], *, epoch: int, epochs: int, loss: float
    ) -> EpochFigures:
        """Measure an epoch on evenly spaced samples; ``encode`` maps inputs to y, shape (n, bits)."""
        gallery_rows, query_rows = (
            np.linspace(0, len(part) - 1, min(most, len(part))).astype(np.int64)
            for part, most in ((self.gallery, MAX_GALLERY), (self.queries, MAX_QUERIES))
        )
        y = encode(self.gallery[gallery_rows])
        bits, gallery = y.shape[1], pack_signs(y)
        queries = pack_signs(encode(self.queries[query_rows]))
        ranked = rank_codes(
            queries, self.query_labels[query_rows], gallery, self.gallery_labels[gallery_rows], bits
        )
        use = bit_use(gallery, bits)
        return EpochFigures(epoch, epochs, loss, use.balance, use.distinct, figures(ranked).map_at_1000)
