"""Codes in insertion order with their tombstones and filters: published whole, never changed for its readers.

What a reader holds stays as it is: new rows are written behind the last one that any published state knows, and
a bitmap is copied before a bit of a published row changes. A copy takes one bit a row, so a delete among ten
million pictures copies 1.25 MB.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from app.index.bitmap import (
    Bitmap,
    all_clear,
    all_set,
    clear_count,
    clear_rows,
    grown,
    is_set,
    packed,
    set_rows,
    unpacked,
    words_for_rows,
)
from app.index.engine import Engine

Numbers = NDArray[np.int64]
Codes = NDArray[np.uint64]
Rows = NDArray[np.int64]

_FIRST_CAPACITY: Final = 1_024


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Pictures found, ordered by (distance, number)."""

    numbers: Numbers
    distances: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class CodeMatrix:
    """Rows in ascending order of number."""

    columns: Codes
    """A row a word, shape (words, capacity)."""
    numbers: Numbers
    """Insertion numbers, shape (capacity,)."""
    count: int
    """Rows in use, deleted ones among them."""
    dead: Bitmap
    """Deleted rows; of as many bits as there is capacity, as each filter is."""
    alive: int
    """Rows that are not deleted."""
    filters: Mapping[str, Bitmap] = field(default_factory=dict)
    """For each kept filter the rows that it leaves out."""
    engine: Engine | None = None
    """Tables over the first rows, which are the same in all matrices that this one becomes."""
    hashed: int = 0
    """Rows there were when tables were built last, whether they were kept or not."""
    is_shared: bool = False
    """Whether the codes and numbers are pages of a file, which other processes may have mapped too."""

    @classmethod
    def of(cls, numbers: Numbers, codes: Codes) -> Self:
        """The matrix of ``codes``, shape (n, words), with ascending ``numbers``, shape (n,)."""
        return cls.of_columns(numbers, np.ascontiguousarray(codes.T))

    @classmethod
    def of_columns(cls, numbers: Numbers, columns: Codes, *, is_shared: bool = False) -> Self:
        """The same of codes that lie word by word already, shape (words, n)."""
        count = len(numbers)
        return cls(columns, numbers, count, all_clear(count), count, is_shared=is_shared)

    @property
    def nbytes(self) -> int:
        """Memory that the rows in use take."""
        bitmaps = 1 + len(self.filters)
        tables = 0 if self.engine is None else self.engine.nbytes
        return tables + self.count * 8 * (len(self.columns) + 1) + words_for_rows(self.count) * 8 * bitmaps

    def rows_of(self, numbers: Numbers) -> Rows:
        """Rows of those of ``numbers`` that are here, dead or not."""
        known = self.numbers[: self.count]
        places = np.searchsorted(known, numbers)
        is_inside = places < self.count
        places, numbers = places[is_inside], numbers[is_inside]
        rows: Rows = places[known[places] == numbers]
        return rows

    def alive_rows(self) -> Rows:
        """Rows that are not deleted, ascending."""
        rows: Rows = np.flatnonzero(~unpacked(self.dead, self.count))
        return rows

    def is_alive(self, rows: Rows) -> NDArray[np.bool_]:
        """Whether each of ``rows`` is not deleted."""
        return ~is_set(self.dead, rows)

    def found_under(self, filter_key: str | None) -> NDArray[np.bool_]:
        """Whether each row in use can be found, under a filter or without one, shape (count,)."""
        left_out = self.dead if filter_key is None else self.dead | self.filters[filter_key]
        return ~unpacked(left_out, self.count)

    def allowed(self, filter_key: str) -> int:
        """How many rows a filter lets be found."""
        return clear_count(self.dead | self.filters[filter_key], self.count)

    def hidden(self, filter_key: str | None) -> Bitmap:
        """Rows that a filter leaves out; without one, the deleted rows once more."""
        return self.dead if filter_key is None else self.filters[filter_key]

    def kill(self, rows: Rows) -> Self:
        """The same with these rows deleted."""
        rows = rows[self.is_alive(rows)]
        if not len(rows):
            return self
        dead = self.dead.copy()
        set_rows(dead, rows)
        return replace(self, dead=dead, alive=self.alive - len(rows))

    def append(self, numbers: Numbers, codes: Codes) -> Self:
        """The same with new rows behind the last, left out by each filter until ``refilter`` lets them in."""
        if not len(numbers):
            return self
        end = self.count + len(numbers)
        roomy = self if end <= self.columns.shape[1] else self._grown(end)
        # No published state counts these rows, so that nobody looks at them yet.
        roomy.columns[:, self.count : end] = codes.T
        roomy.numbers[self.count : end] = numbers
        rows = np.arange(self.count, end)
        clear_rows(roomy.dead, rows)
        for bitmap in roomy.filters.values():
            set_rows(bitmap, rows)
        return replace(roomy, count=end, alive=self.alive + len(numbers))

    def _grown(self, rows: int) -> Self:
        capacity = max(_FIRST_CAPACITY, rows * 3 // 2)
        columns = np.empty((len(self.columns), capacity), np.uint64)
        columns[:, : self.count] = self.columns[:, : self.count]
        numbers = np.empty(capacity, np.int64)
        numbers[: self.count] = self.numbers[: self.count]
        filters = {key: grown(bitmap, capacity) for key, bitmap in self.filters.items()}
        dead = grown(self.dead, capacity)
        return replace(self, columns=columns, numbers=numbers, dead=dead, filters=filters, is_shared=False)

    def refilter(self, touched: Numbers, matches: Mapping[str, Numbers], published: int) -> Self:
        """The same with each filter decided anew for touched pictures.

        Args:
            touched: Pictures whose code or metadata changed.
            matches: Those of them that each filter allows now.
            published: Rows that readers may know already; bits from there on are changed in place.
        """
        rows = self.rows_of(touched)
        # What a filter says of a deleted row matters to nobody, so that a delete copies no filter.
        rows = rows[self.is_alive(rows)]
        if not len(rows):
            return self
        filters = {}
        for key, bitmap in self.filters.items():
            allowed = np.isin(rows, self.rows_of(matches.get(key, touched[:0])))
            changed = rows[is_set(bitmap, rows) == allowed]
            fresh = bitmap.copy() if (changed < published).any() else bitmap
            set_rows(fresh, rows[~allowed])
            clear_rows(fresh, rows[allowed])
            filters[key] = fresh
        return replace(self, filters=filters)

    def with_filter(self, key: str, allowed: Numbers) -> Self:
        """The same with one more filter."""
        is_left_out = np.ones(self.columns.shape[1], np.bool_)
        is_left_out[self.rows_of(allowed)] = False
        return replace(self, filters={**self.filters, key: packed(is_left_out)})

    def without_filter(self, key: str) -> Self:
        """The same with one filter fewer."""
        return replace(self, filters={k: f for k, f in self.filters.items() if k != key})


def merged(parts: Iterable[tuple[CodeMatrix, Rows]], words: int, filter_keys: Iterable[str]) -> CodeMatrix:
    """Chosen rows of several matrices as one, by number, none of them deleted.

    Args:
        parts: Matrices and those of their rows to take, no number twice.
        words: Words of a code.
        filter_keys: Filters to keep; a matrix that does not know one is left out by it.
    """
    parts = [(empty_matrix(words), np.empty(0, np.int64)), *parts]
    numbers = np.concatenate([matrix.numbers[rows] for matrix, rows in parts])
    order = np.argsort(numbers, kind="stable")
    columns = np.empty((words, len(numbers)), np.uint64)
    for w in range(words):
        np.concatenate([matrix.columns[w][rows] for matrix, rows in parts]).take(order, out=columns[w])
    filters = {}
    for key in filter_keys:
        is_left_out = np.concatenate(
            [
                unpacked(matrix.filters[key], matrix.count)[rows]
                if key in matrix.filters
                else np.ones(len(rows), np.bool_)
                for matrix, rows in parts
            ]
        )
        filters[key] = packed(is_left_out[order])
    return CodeMatrix(columns, numbers[order], len(order), all_clear(len(order)), len(order), filters)


def empty_matrix(words: int, filter_keys: Iterable[str] = ()) -> CodeMatrix:
    """No rows yet; each filter would leave new ones out."""
    filters = {key: all_set(0) for key in filter_keys}
    return CodeMatrix(np.empty((words, 0), np.uint64), np.empty(0, np.int64), 0, all_clear(0), 0, filters)
