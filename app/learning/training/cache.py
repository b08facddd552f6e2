"""Arrays that cost minutes to compute, kept on disk and mapped into memory."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def cached(path: Path, compute: Callable[[], NDArray[np.generic]]) -> NDArray[np.generic]:
    """The array at ``path``, computed and written whole if it is missing; mapped, so never in memory twice."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        array = compute()
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npy", delete=False) as file:
            np.save(file, array, allow_pickle=False)
        Path(file.name).replace(path)
    mapped: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
