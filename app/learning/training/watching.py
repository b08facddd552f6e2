"""What is seen of a training while it goes on, epoch by epoch."""

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
    """One epoch."""

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
        """Rounded to what a report shows."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Watching:
    """Who is told of each epoch, and where a training that is killed goes on from."""

    report: Callable[[EpochFigures], None]
    """May raise to end the training; what it had done is kept in the checkpoint."""
    checkpoint: Path


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What epochs are measured on.

    Attributes:
        gallery: Inputs of what is being trained, shape (n, …).
        queries: The same of held-out pictures.
        gallery_labels: Kinds, shape (n,), int64.
        query_labels: Kinds of the queries.
    """

    gallery: NDArray[Any]
    queries: NDArray[Any]
    gallery_labels: NDArray[np.int64]
    query_labels: NDArray[np.int64]

    def measure(
        self, encode: Callable[[NDArray[Any]], NDArray[np.float32]], *, epoch: int, epochs: int, loss: float
    ) -> EpochFigures:
        """Figures of an epoch; ``encode`` maps inputs to y, shape (n, bits)."""
        rows = np.linspace(0, len(self.gallery) - 1, min(MAX_GALLERY, len(self.gallery))).astype(np.int64)
        asked = np.linspace(0, len(self.queries) - 1, min(MAX_QUERIES, len(self.queries))).astype(np.int64)
        y = encode(self.gallery[rows])
        bits, gallery = y.shape[1], pack_signs(y)
        queries = pack_signs(encode(self.queries[asked]))
        ranked = rank_codes(queries, self.query_labels[asked], gallery, self.gallery_labels[rows], bits)
        use = bit_use(gallery, bits)
        return EpochFigures(epoch, epochs, loss, use.balance, use.distinct, figures(ranked).map_at_1000)
