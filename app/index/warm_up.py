"""Compile the kernels before a search needs them, or load them from the cache; all code lengths share them.

``python -m app.index.warm_up`` fills the cache. It prints ``SEARCH_READY`` when a first search can begin.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import llvmlite.binding
import numba
import numpy as np

from app.index.buckets import MAX_BITS as MAX_BUCKET_BITS
from app.index.collection_index import CollectionIndex
from app.index.described_pairs import Described, split_by_descriptors
from app.index.distance_kernels import BLOCK
from app.index.kernel_cache import PACKAGE, kernel_cache, remove_outdated
from app.index.multi_query import count_nearest_at, search_examples
from app.index.near_pairs import near_pairs
from app.index.pairs import groups_within
from app.index.weighted import BitWeights, search_weighted

SEARCH_READY: Final = "search kernels are cached"
_PRIORITY: Final = 10
"""Added to the niceness of this process once a first search need not wait for it any longer."""

_all_loaded = threading.Event()


def are_kernels_loaded() -> bool:
    """Return whether no kernel has to be compiled or loaded any more, which would block the calling thread."""
    return _all_loaded.is_set()


def warm_up_search() -> None:
    """Compile or load the kernels of a scan."""
    _search(_index(64))


def warm_up() -> None:
    """Compile or load every kernel: of scans, tables, several codes at once, weights and pairs."""
    query = np.zeros(1, np.uint64)
    for bits in (MAX_BUCKET_BITS, 64):
        index = _index(bits)
        for _ in ("scanned", "from tables"):
            _search(index)
            index.build_engines()
    view = index.view()
    near = groups_within(view, 1)
    descriptors = Described(near[0], np.ones((len(near[0]), 8), np.int8), np.ones(len(near[0]), np.bool_))
    split_by_descriptors(view, near, 1, descriptors, 0.0)
    near_pairs(np.arange(2, dtype=np.uint64)[None], np.arange(2, dtype=np.uint64)[None], 1)
    search_examples(index.view(), query[None], query[None], 1)
    count_nearest_at(index.view(), np.stack([query, query]), 0)
    search_weighted(index.view(), [BitWeights.of(np.ones(64, np.float32))], 1)
    _all_loaded.set()


def all_cached() -> bool:
    """Return whether ``record_all_cached`` was called for these kernels on a processor like this one."""
    return (Path(os.environ["NUMBA_CACHE_DIR"]) / _record_name()).exists()


def record_all_cached() -> None:
    """Record for later starts that the cache holds every kernel, and remove old ones."""
    with contextlib.suppress(OSError):
        (kernel_cache() / _record_name()).touch()
        remove_outdated()


def _record_name() -> str:
    """Return a name that changes with the place of the sources, numba, Python and the processor.

    The folder changes with the content of the sources.
    """
    processor = (
        os.environ.get("NUMBA_CPU_NAME") or llvmlite.binding.get_host_cpu_name(),
        os.environ.get("NUMBA_CPU_FEATURES") or llvmlite.binding.get_host_cpu_features().flatten(),
    )
    used_by = (str(PACKAGE), numba.__version__, platform.python_version(), processor)
    return f"complete-{hashlib.sha256(repr(used_by).encode()).hexdigest()[:16]}"


@contextlib.contextmanager
def _one_compiler(kernels: str) -> Iterator[None]:
    """Let one process at a time compile these kernels; the others find them cached afterwards.

    Numba numbers the files of a cache without a lock: two processes that write at the same time may leave an
    entry that leads to the code of another processor or of other argument types.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a file system without locks
            lock = stack.enter_context((kernel_cache() / f"{kernels}.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _index(bits: int) -> CollectionIndex:
    index = CollectionIndex(bits, hash_from=1, min_use=0)
    index.load(np.arange(BLOCK + 1), np.zeros((BLOCK + 1, 1), np.uint64), 0)
    return index


def _search(index: CollectionIndex) -> None:
    query = np.zeros(1, np.uint64)
    index.view().search(query, 1)
    index.view().count_at(query, 0)


def _end_with_parent() -> None:
    """End this process when standard input ends: it is a pipe from the process that waits for the kernels."""
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    """Fill the cache: what a first search needs at once, the rest at low priority."""
    if "--until-stdin-ends" in sys.argv:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    with _one_compiler("scan"):
        warm_up_search()
    print(SEARCH_READY, flush=True)  # noqa: T201
    os.nice(_PRIORITY)
    with _one_compiler("all"):
        if not all_cached():
            warm_up()
            record_all_cached()


if __name__ == "__main__":
    main()
