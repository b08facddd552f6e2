"""Compile the kernels before a search needs them, or load them from the cache; all code lengths share them.

``python -m app.index.warm_up`` fills the cache. It prints ``SEARCH_READY`` when a first search can begin.
"""

import hashlib
import os
import platform
import sys
import threading
from typing import Final

import llvmlite.binding
import numba
import numpy as np

from app.index.buckets import MAX_BITS as MAX_BUCKET_BITS
from app.index.collection_index import CollectionIndex
from app.index.distance_kernels import BLOCK
from app.index.kernel_cache import PACKAGE, writable_cache
from app.index.multi_query import count_nearest_at, search_examples
from app.index.pairs import groups_within

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
    """Compile or load every kernel: of scans, tables, several codes at once, and pairs."""
    query = np.zeros(1, np.uint64)
    for bits in (MAX_BUCKET_BITS, 64):
        index = _index(bits)
        for _ in ("scanned", "from tables"):
            _search(index)
            index.build_engines()
    groups_within(index.view(), 1)
    search_examples(index.view(), query[None], query[None], 1)
    count_nearest_at(index.view(), np.stack([query, query]), 0)
    _all_loaded.set()


def all_cached() -> bool:
    """Return whether ``record_all_cached`` was called for these kernels on a processor like this one."""
    folder = writable_cache()
    return folder is not None and (folder / _record_name()).exists()


def record_all_cached() -> None:
    """Record for later starts that the cache holds every kernel."""
    folder = writable_cache()
    if folder is not None:
        (folder / _record_name()).touch()


def _record_name() -> str:
    """A name that changes when numba would not use the cached code: with sources, versions or processors."""
    key = hashlib.sha256()
    for source in sorted(PACKAGE.glob("*.py")):
        key.update(f"{source} {source.stat().st_mtime_ns}".encode())
        key.update(source.read_bytes())
    processor = (
        os.environ.get("NUMBA_CPU_NAME") or llvmlite.binding.get_host_cpu_name(),
        os.environ.get("NUMBA_CPU_FEATURES") or llvmlite.binding.get_host_cpu_features().flatten(),
    )
    key.update(repr((numba.__version__, platform.python_version(), processor)).encode())
    return f"lookalike-kernels-{key.hexdigest()[:16]}"


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
    warm_up_search()
    print(SEARCH_READY, flush=True)  # noqa: T201
    os.nice(_PRIORITY)
    warm_up()
    record_all_cached()


if __name__ == "__main__":
    main()
