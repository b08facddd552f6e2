"""Build large arrays without copies, and keep those that take minutes to compute on disk."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item", bound=np.generic)


def stack_batches(batches: Iterable[NDArray[Item]], rows: int) -> NDArray[Item]:
    """Join batches into one preallocated array, so that no row is in memory twice.

    Args:
        batches: Arrays of shape (n, …), equal but for n.
        rows: Total number of rows.

    Raises:
        ValueError: The batches do not have ``rows`` rows in total.
    """
    whole: NDArray[Item] | None = None
    filled = 0
    for batch in batches:
        if whole is None:
            whole = np.empty((rows, *batch.shape[1:]), batch.dtype)
        whole[filled : filled + len(batch)] = batch
        filled += len(batch)
    if whole is None or filled != rows:
        raise ValueError(f"expected {rows} rows, got {filled}")
    return whole


def cached_array(path: Path, compute: Callable[[], NDArray[np.generic]]) -> NDArray[np.generic]:
    """Return the memory-mapped array at ``path``; compute it and write it atomically if it is missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        array = compute()
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npy", delete=False) as file:
            np.save(file, array, allow_pickle=False)
        Path(file.name).replace(path)
    mapped: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
