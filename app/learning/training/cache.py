"""Arrays that cost minutes to compute, kept on disk and mapped into memory."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item", bound=np.generic)


def stacked(batches: Iterable[NDArray[Item]], rows: int) -> NDArray[Item]:
    """Batches joined into one array of so many rows, filled as they come: nothing is in memory twice."""
    whole: NDArray[Item] | None = None
    filled = 0
    for batch in batches:
        if whole is None:
            whole = np.empty((rows, *batch.shape[1:]), batch.dtype)
        whole[filled : filled + len(batch)] = batch
        filled += len(batch)
    if whole is None or filled != rows:
        raise ValueError(f"{filled} rows came where {rows} were expected")
    return whole


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
