"""Load features that were computed elsewhere, in place of pictures and an encoder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PrecomputedFeatures:
    """Features and kinds of a gallery and its queries."""

    gallery: NDArray[np.float32]
    """Shape (n, d)."""
    gallery_labels: NDArray[np.int64]
    """Shape (n,)."""
    queries: NDArray[np.float32]
    """Shape (q, d)."""
    query_labels: NDArray[np.int64]
    """Shape (q,)."""


def load_precomputed(folder: Path) -> PrecomputedFeatures:
    """Read ``gallery.npy``, ``gallery_labels.npy``, ``queries.npy`` and ``query_labels.npy``.

    Raises:
        FileNotFoundError: One of the files is missing.
        ValueError: Their shapes do not match.
    """
    parts = [
        np.load(folder / f"{part}.npy", mmap_mode="r", allow_pickle=False)
        for part in ("gallery", "gallery_labels", "queries", "query_labels")
    ]
    gallery, gallery_labels, queries, query_labels = parts
    fits = gallery.ndim == queries.ndim == 2 and gallery.shape[1] == queries.shape[1]
    if not fits or gallery_labels.shape != gallery.shape[:1] or query_labels.shape != queries.shape[:1]:
        raise ValueError(f"features of {folder} have shapes {[part.shape for part in parts]}")
    return PrecomputedFeatures(
        gallery.astype(np.float32),
        gallery_labels.astype(np.int64),
        queries.astype(np.float32),
        query_labels.astype(np.int64),
    )
