"""Multi-index hashing: exact nearest codes from tables of code parts, without reading every code.

A code is cut into m parts, and one table per part lists the rows by the value of that part. A code within
distance m * r + a of the query differs in at most r bits in one of the parts 0 to a, or in fewer than r bits in
one of the others. Opening all buckets at r bits from the query's part, for r = 0, 1, ..., table by table,
therefore finds codes in order of guaranteed distance: after step t = m * r + a, no code at distance t or less
is missing.

Source: Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from app.index.engine import ROW_BITS, Keys, WorkBudget, candidate_cost, first_keys
from app.index.table_kernels import Parts, Words, fill_table, nearest_by_tables

MAX_PART: Final = 22
"""Longest part, in bits: 2^22 bucket bounds take 16 MiB, which partly fit into a processor's cache."""
MIN_PART: Final = 8


@dataclass(frozen=True, slots=True)
class MultiIndex:
    """Tables over the first ``covered`` rows of a matrix; later rows are not in them."""

    parts: Parts
    """First bit, length and offset in ``ends`` of each part, shape (m, 3)."""
    ends: NDArray[np.uint32]
    """For each table, the start of each bucket in its row of ``rows``, and the end of the last."""
    rows: NDArray[np.uint32]
    """Rows by bucket, ascending within each, shape (m, covered)."""

    @classmethod
    def of(cls, columns: Words, count: int, bits: int) -> Self:
        """Build tables over rows 0 to ``count``.

        Args:
            columns: Codes, shape (words, capacity).
            count: Number of rows, fewer than 2^32.
            bits: Code length.
        """
        m = tables_for(count, bits)
        cuts = np.arange(m + 1) * bits // m
        lengths = np.diff(cuts)
        sizes = (1 << lengths) + 1
        places = np.cumsum(sizes) - sizes
        parts = np.stack([cuts[:-1], lengths, places], axis=1).astype(np.int64)
        ends = np.zeros(int(sizes.sum()), np.uint32)
        rows = np.empty((m, count), np.uint32)
        for j in range(m):
            # One extra bound, so that counting and placing need no second array.
            spare = np.zeros(sizes[j] + 1, np.uint32)
            fill_table(columns, parts[j], spare, rows[j])
            ends[places[j] : places[j] + sizes[j]] = spare[:-1]
        return cls(parts, ends, rows)

    @property
    def covered(self) -> int:
        """Number of rows in the tables."""
        return int(self.rows.shape[1])

    @property
    def nbytes(self) -> int:
        """Memory used: 4 bytes per row and table, and 4 per bucket."""
        return self.rows.nbytes + self.ends.nbytes + self.parts.nbytes

    def nearest(
        self,
        columns: Words,
        dead: Words,
        hidden: Words,
        query: Words,
        k: int,
        limit: int,
        budget: WorkBudget,
        /,
    ) -> Keys | None:
        """See ``Engine.nearest``."""
        price = candidate_cost(len(columns))
        # Every kept row is paid for from the budget, and none is kept twice.
        room = min(max(budget.trial, budget.total) // price + 1, self.covered)
        keys = np.empty(room, np.uint64)
        held, bound = nearest_by_tables(
            columns,
            self.parts,
            self.ends,
            self.rows,
            dead,
            hidden,
            query,
            k,
            limit,
            price,
            budget.trial,
            budget.total,
            keys,
        )
        if held < 0:
            return None
        keys = keys[:held]
        return first_keys(keys[keys >> np.uint64(ROW_BITS) <= np.uint64(bound)], k)


def tables_for(count: int, bits: int) -> int:
    """Number of parts: about log2(count) - 2 bits each, so that a bucket holds a few rows."""
    length = min(MAX_PART, max(MIN_PART, float(np.log2(max(count, 1))) - 2))
    return max(-(-bits // MAX_PART), round(bits / length))
