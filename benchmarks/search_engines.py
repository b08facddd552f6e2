"""Engines to compare, ours and their peers, as functions from (query, k) to (distances, rows)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
from numba import njit

from app.domain.codes import words_for
from app.index import planner
from app.index.collection_index import BUCKETS_FROM, HASH_FROM, MIN_USE, CollectionIndex, IndexView
from app.index.engine import WorkBudget, distances_of_keys, rows_of_keys
from app.index.instruction_set import instruction_set

CHUNK = 32_768
PATIENCE = 20
"""Work, in scans, that tables may do when measured without the planner."""
Answer = tuple[np.ndarray, np.ndarray]
Engine = Callable[[np.ndarray, int], Answer]


# ---- ours -----------------------------------------------------------------------------------------


def scanned(codes: np.ndarray, bits: int) -> CollectionIndex:
    """An index without tables."""
    index = CollectionIndex(bits, hash_from=0)
    index.load(np.arange(len(codes)), codes, 1)
    return index


def with_tables(index: CollectionIndex) -> IndexView:
    """The same codes with tables, whether or not they help."""
    view = index.view()
    tables = planner.build_engine(view.main, view.bits, view.main.count)
    return replace(view, main=replace(view.main, engine=tables))


def as_served(view: IndexView) -> IndexView:
    """The same codes with tables only if an index would have built and kept them."""
    main = view.main
    least = HASH_FROM * (BUCKETS_FROM if view.bits <= 16 else 1)
    is_small = main.count * len(main.columns) < least
    is_unused = is_small or planner.share_answered(main, main.engine, view.bits) < MIN_USE
    return replace(view, main=replace(main, engine=None)) if is_unused else view


def ours(view: IndexView, filter_key: str | None = None) -> Engine:
    """The planner's choice; the scan alone if the view has no tables."""

    def search(query: np.ndarray, k: int) -> Answer:
        found = view.search(query, k, filter_key=filter_key)
        return found.distances, found.numbers

    return search


def tables_alone(view: IndexView) -> Engine:
    """The tables without the planner; they run for up to twenty scans' work, then the scan answers."""
    matrix, tables = view.main, view.main.engine
    scan = ours(replace(view, main=replace(matrix, engine=None)))
    work = matrix.count * len(matrix.columns) * PATIENCE
    budget = WorkBudget(work, work)
    dead = matrix.dead

    def search(query: np.ndarray, k: int) -> Answer:
        keys = tables.nearest(matrix.columns, dead, dead, query, k, view.bits, budget)
        return scan(query, k) if keys is None else (distances_of_keys(keys), rows_of_keys(keys))

    return search


def share_answered(view: IndexView, queries: np.ndarray, k: int) -> float:
    """Share of queries that the planner leaves to the tables."""
    matrix = view.main
    if matrix.engine is None:
        return 0.0
    budget = planner.budget_for(matrix, matrix.dead)
    dead, tables = matrix.dead, matrix.engine
    found = [tables.nearest(matrix.columns, dead, dead, q, k, view.bits, budget) for q in queries]
    return float(np.mean([keys is not None for keys in found]))


# ---- peers ----------------------------------------------------------------------------------------


@njit(nogil=True)
def read_all(columns: np.ndarray) -> np.uint64:
    """Read every word with next to no computation."""
    total = np.uint64(0)
    for w in range(columns.shape[0]):
        column = columns[w]
        for i in range(len(column)):
            total |= column[i]
    return total


def reading(columns: np.ndarray) -> Engine:
    return lambda _query, _k: (np.array([read_all(columns)]), columns[:0])


def numpy_naive(codes: np.ndarray) -> Engine:
    def search(query: np.ndarray, k: int) -> Answer:
        distances = np.bitwise_count(codes ^ query).sum(axis=1, dtype=np.int16)
        order = np.argsort(distances, kind="stable")[:k]
        return distances[order], order

    return search


def numpy_chunked(columns: np.ndarray) -> Engine:
    """The fastest numpy version: columns in chunks that stay in the cache, cut at the k-th distance so far."""

    def search(query: np.ndarray, k: int) -> Answer:
        best, rows = np.empty(0, np.int16), np.empty(0, np.int64)
        for start in range(0, columns.shape[1], CHUNK):
            part = np.bitwise_count(columns[0, start : start + CHUNK] ^ query[0]).astype(np.int16, copy=False)
            for w in range(1, len(columns)):
                part = part + np.bitwise_count(columns[w, start : start + CHUNK] ^ query[w])
            near = (
                np.flatnonzero(part < best[-1])
                if len(best) == k
                else np.argpartition(part, min(k, len(part)) - 1)[:k]
            )
            if len(near):
                best, rows = np.concatenate([best, part[near]]), np.concatenate([rows, near + start])
                order = np.argsort(best, kind="stable")[:k]
                best, rows = best[order], rows[order]
        return best, rows

    return search


def peer_versions() -> dict[str, str]:
    """Versions of the peers; for faiss with the widest instruction set that it was loaded for, as ours has."""
    import faiss  # noqa: PLC0415

    versions = {name: version(name) for name in ("numpy", "numba", "usearch") if find_spec(name)}
    widest = faiss.get_compile_options().split()[-1]
    return {"ours": instruction_set(), "faiss": f"{faiss.__version__} ({widest})", **versions}


def faiss_flat(codes: np.ndarray, bits: int) -> Engine:
    import faiss  # noqa: PLC0415

    index = faiss.IndexBinaryFlat(bits)
    index.add(as_bytes(codes, bits))

    def search(query: np.ndarray, k: int) -> Answer:
        distances, rows = index.search(as_bytes(query.reshape(-1, codes.shape[1]), bits), k)
        return (distances[0], rows[0]) if query.ndim == 1 else (distances, rows)

    return search


def faiss_multi_hash(codes: np.ndarray, bits: int) -> Engine:
    """Hash tables of up to four 16-bit parts with two flipped bits each: fast but inexact."""
    import faiss  # noqa: PLC0415

    width = min(16, max(8, int(np.log2(len(codes)))))
    index = faiss.IndexBinaryMultiHash(bits, max(1, min(4, bits // width)), width)
    index.nflip = 2
    index.add(as_bytes(codes, bits))

    def search(query: np.ndarray, k: int) -> Answer:
        distances, rows = index.search(as_bytes(query[None], bits), k)
        return distances[0], rows[0]

    return search


def usearch_exact(codes: np.ndarray, bits: int) -> Engine:
    from usearch.index import MetricKind  # noqa: PLC0415
    from usearch.index import search as exact_search  # noqa: PLC0415

    octets = as_bytes(codes, bits)

    def search(query: np.ndarray, k: int) -> Answer:
        found = exact_search(
            octets, as_bytes(query[None], bits)[0], k, MetricKind.Hamming, exact=True, threads=1, dtype="b1"
        )
        return np.asarray(found.distances).ravel(), np.asarray(found.keys).ravel()

    return search


def as_bytes(codes: np.ndarray, bits: int) -> np.ndarray:
    return np.ascontiguousarray(np.ascontiguousarray(codes).view(np.uint8)[:, : bits // 8])


# Memory of a peer per code while it is measured, in bytes, beyond the codes themselves.
PEERS: dict[str, tuple[Callable[[np.ndarray, np.ndarray, int], Engine], Callable[[int], float]]] = {
    "faiss flat": (lambda codes, _columns, bits: faiss_flat(codes, bits), lambda bits: bits / 4),
    "numpy, chunks": (lambda _codes, columns, _bits: numpy_chunked(columns), lambda _bits: 0.0),
    "numpy, naive": (lambda codes, _columns, _bits: numpy_naive(codes), lambda bits: 9 * words_for(bits) + 12),
    "usearch exact": (lambda codes, _columns, bits: usearch_exact(codes, bits), lambda bits: bits / 4),
    "faiss multi-hash": (
        lambda codes, _columns, bits: faiss_multi_hash(codes, bits),
        lambda bits: bits / 4 + 80,
    ),
}


def fitting(
    names: list[str], codes: np.ndarray, columns: np.ndarray, bits: int
) -> Iterator[tuple[str, Engine]]:
    """The peers that fit into half of the free memory; the others are reported by name."""
    for name in names:
        make, extra = PEERS[name]
        if (needed := extra(bits) * len(codes)) > free_memory() / 2:
            print(f"{name}: does not fit, {len(codes):,} codes of {bits} bits take {needed / 1e9:.1f} GB more")
            continue
        yield name, make(codes, columns, bits)


def free_memory() -> float:
    with open("/proc/meminfo") as lines:  # noqa: PTH123
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
