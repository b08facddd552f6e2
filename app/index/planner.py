"""Choose between hash tables and the scan for each query; both give the same answer.

Bucket sizes tell the cost of each step in advance. The tables may waste only a small share of the work of a
scan, so a query that falls back to the scan is barely slower than one scanned at once, for any codes that the
hash layer produces.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.index.bitmap import Bitmap, set_rows
from app.index.buckets import MAX_BITS, DirectBuckets
from app.index.distance_kernels import LANE
from app.index.engine import CANDIDATE, MAX_ROWS, Engine, Keys, WorkBudget, distances_of_keys, rows_of_keys
from app.index.matrix import CodeMatrix, Codes, Neighbours
from app.index.multi_index import MultiIndex
from app.index.recent_searches import PastSearch
from app.index.scan import SINGLE_THREAD, ScanThreads, merge_neighbours, no_neighbours, scan, scan_count_at
from app.index.scan_kernels import SPARSE

TRIAL_SHARE: Final = 1 / 10
"""Share of the work of a scan that may be wasted before falling back to it."""
TOTAL_SHARE: Final = 3 / 4
"""Share of the work of a scan that may be spent once the remaining work is known."""
BATCHED: Final = 1 / 3
"""Cost of one query in a batch, relative to a separate scan, since a batch reads the codes once."""
PICKED: Final = 8
"""Cost of a row, in words, when so few rows are allowed that the scan reads them individually."""
SAMPLE: Final = 256
"""Number of bitmap words (64 rows each) sampled to estimate how many rows a scan reads."""

TRIALS: Final = 32
"""Number of trial queries that decide whether tables are worth their memory."""
TRIAL_K: Final = 10
BITS_PER_COPY_BIT: Final = 16
"""A row that differs in at most one of this many bits counts as a near copy of a trial query.

If codes are so short that each has a bucket, only equal ones count.
"""


def build_engine(matrix: CodeMatrix, bits: int, rows: int) -> Engine | None:
    """Build tables over the first ``rows`` rows; None if there are too many for 32-bit row numbers."""
    if rows >= MAX_ROWS:
        return None
    if bits <= MAX_BITS:
        return DirectBuckets.of(matrix.columns, rows, bits)
    return MultiIndex.of(matrix.columns, rows, bits)


def share_answered(matrix: CodeMatrix, engine: Engine, bits: int, searches: Sequence[PastSearch] = ()) -> float:
    """Share of trial queries that an engine answers itself; 1 without rows.

    Args:
        matrix: The rows.
        engine: Tables over them.
        bits: Code length.
        searches: The trial queries. Without any, they are rows, searched as if they and their near copies were
            not in the index: a collection of near copies would otherwise keep tables that answer only its own
            rows.
    """
    if searches:
        budget = budget_for(matrix, matrix.dead)
        answers = [
            _from_tables(matrix, engine, past.query, past.k, past.limit, matrix.dead, budget) is not None
            for past in searches
        ]
    else:
        rows = np.linspace(0, matrix.count - 1, TRIALS).astype(np.int64)
        answers = [_answers_stranger(matrix, engine, bits, int(row)) for row in rows[matrix.is_alive(rows)]]
    return sum(answers) / len(answers) if answers else 1.0


def _answers_stranger(matrix: CodeMatrix, engine: Engine, bits: int, row: int) -> bool:
    query = np.ascontiguousarray(matrix.columns[:, row])
    near = bits // BITS_PER_COPY_BIT if bits > MAX_BITS else 0
    [copies] = scan(matrix, query[np.newaxis], matrix.count, np.array([near]), matrix.dead)
    hidden = matrix.dead.copy()
    set_rows(hidden, matrix.rows_of(np.sort(copies.numbers)))
    budget = budget_for(matrix, hidden)
    limit = 64 * len(matrix.columns)
    return engine.nearest(matrix.columns, matrix.dead, hidden, query, TRIAL_K, limit, budget) is not None


def search(
    matrix: CodeMatrix,
    queries: Codes,
    k: int,
    limits: NDArray[np.int64],
    filter_key: str | None,
    *,
    threads: ScanThreads = SINGLE_THREAD,
) -> list[Neighbours]:
    """Find the ``k`` nearest rows to each of ``queries`` (q, words) within its one of ``limits`` (q,)."""
    hidden, engine = matrix.hidden(filter_key), matrix.engine
    if engine is None:
        return scan(matrix, queries, k, limits, hidden, threads=threads)
    budget = budget_for(matrix, hidden, len(queries), threads)
    found = [
        _from_tables(matrix, engine, query, k, int(limit), hidden, budget)
        for query, limit in zip(queries, limits, strict=True)
    ]
    left = [j for j, answer in enumerate(found) if answer is None]
    answered = [j for j, answer in enumerate(found) if answer is not None]
    if left:
        scanned = scan(matrix, queries[left], k, limits[left], hidden, threads=threads)
        for j, answer in zip(left, scanned, strict=True):
            found[j] = answer
    if answered and engine.covered < matrix.count:
        first = engine.covered
        later = scan(matrix, queries[answered], k, limits[answered], hidden, first=first, threads=threads)
        for j, answer in zip(answered, later, strict=True):
            found[j] = merge_neighbours(found[j] or no_neighbours(), answer, k)
    return [answer or no_neighbours() for answer in found]


def count_at(
    matrix: CodeMatrix,
    query: Codes,
    distance: int,
    filter_key: str | None,
    *,
    threads: ScanThreads = SINGLE_THREAD,
) -> int:
    """How many rows lie at exactly ``distance`` from ``query``, shape (words,)."""
    hidden, engine = matrix.hidden(filter_key), matrix.engine
    keys = None
    if engine is not None:
        budget = budget_for(matrix, hidden, threads=threads)
        keys = engine.nearest(matrix.columns, matrix.dead, hidden, query, engine.covered, distance, budget)
    if engine is None or keys is None:
        return scan_count_at(matrix, query, distance, hidden, threads=threads)
    later = scan_count_at(matrix, query, distance, hidden, first=engine.covered, threads=threads)
    return int(np.count_nonzero(distances_of_keys(keys) == distance)) + later


def _from_tables(
    matrix: CodeMatrix, engine: Engine, query: Codes, k: int, limit: int, hidden: Bitmap, budget: WorkBudget
) -> Neighbours | None:
    # At least this many rows would have to be taken from buckets.
    if k * CANDIDATE > budget.total:
        return None
    keys = engine.nearest(matrix.columns, matrix.dead, hidden, query, k, limit, budget)
    return None if keys is None else _neighbours(matrix, keys)


def _neighbours(matrix: CodeMatrix, keys: Keys) -> Neighbours:
    return Neighbours(matrix.numbers[rows_of_keys(keys)], distances_of_keys(keys))


def budget_for(
    matrix: CodeMatrix, hidden: Bitmap, queries: int = 1, threads: ScanThreads = SINGLE_THREAD
) -> WorkBudget:
    """Work budget of the tables for each query of a batch of this size."""
    words = len(matrix.columns)
    work = _rows_read(matrix, hidden) * words * max(BATCHED, 1 / queries)
    work /= threads.threads_for(matrix.count, words)
    return WorkBudget(int(TRIAL_SHARE * work), int(TOTAL_SHARE * work))


def _rows_read(matrix: CodeMatrix, hidden: Bitmap) -> float:
    """Estimate how many rows a scan reads; it skips stretches that are excluded entirely."""
    if hidden is matrix.dead and matrix.alive == matrix.count:
        return matrix.count
    words = slice(0, matrix.count // LANE, max(1, matrix.count // LANE // SAMPLE))
    allowed = np.bitwise_count(~(matrix.dead[words] | hidden[words])).astype(np.float64)
    if not len(allowed):
        return matrix.count
    read = np.where(allowed * SPARSE <= LANE, np.minimum(allowed * PICKED, LANE), LANE)
    return float(read.mean()) / LANE * matrix.count
