"""Codes in insertion order, with bitmaps of deleted rows and of filters; never changed for readers.

A matrix that a reader holds does not change: new rows are written behind the last row of any published state,
and a bitmap is copied before a bit of a published row changes. A copy takes one bit per row, so deleting a
picture among ten million copies 1.25 MB.
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
    pack_flags,
    set_rows,
    unpack_flags,
    words_for_rows,
)
from app.index.engine import Engine

Numbers = NDArray[np.int64]
Codes = NDArray[np.uint64]
Rows = NDArray[np.int64]

_FIRST_CAPACITY: Final = 1_024


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Found pictures, ordered by (distance, number)."""

    numbers: Numbers
    distances: NDArray[np.int32]
    passed: int | None = None
    """After a position: number of pictures at its distance that come before; None if it is not known."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a ranking, after which its next page starts."""

    distance: int
    """Distance of the last picture before it."""
    number: int
    """Insertion number of that picture, which need not exist any more."""
    rank: int
    """About how many pictures come before it; only the speed of the search depends on it."""


@dataclass(frozen=True, slots=True)
class CodeMatrix:
    """Codes and their insertion numbers, in ascending order of number."""

    columns: Codes
    """One row per word of the codes, shape (words, capacity)."""
    numbers: Numbers
    """Insertion numbers, shape (capacity,)."""
    count: int
    """Number of rows in use, including deleted ones."""
    dead: Bitmap
    """Deleted rows; this bitmap and each filter have one bit for each row of the capacity."""
    alive: int
    """Number of rows that are not deleted."""
    filters: Mapping[str, Bitmap] = field(default_factory=dict)
    """For each kept filter, the rows that it excludes."""
    engine: Engine | None = None
    """Hash tables over the first rows, which are the same in all matrices derived from this one."""
    hashed: int = 0
    """Number of rows when tables were last built, whether or not they were kept."""
    is_shared: bool = False
    """Whether codes and numbers are pages of a mapped file, which other processes may share."""

    @classmethod
    def of(cls, numbers: Numbers, codes: Codes) -> Self:
        """Build a matrix from ``codes``, shape (n, words), with ascending ``numbers``, shape (n,)."""
        return cls.of_columns(numbers, np.ascontiguousarray(codes.T))

    @classmethod
    def of_columns(cls, numbers: Numbers, columns: Codes, *, is_shared: bool = False) -> Self:
        """Build a matrix from codes stored word by word, shape (words, n)."""
        count = len(numbers)
        return cls(columns, numbers, count, all_clear(count), count, is_shared=is_shared)

    @property
    def nbytes(self) -> int:
        """Memory used by the rows in use, in bytes."""
        bitmaps = 1 + len(self.filters)
        tables = 0 if self.engine is None else self.engine.nbytes
        return tables + self.count * 8 * (len(self.columns) + 1) + words_for_rows(self.count) * 8 * bitmaps

    def rows_of(self, numbers: Numbers) -> Rows:
        """Rows of those ``numbers`` that are in the matrix, deleted or not."""
        known = self.numbers[: self.count]
        places = np.searchsorted(known, numbers)
        is_inside = places < self.count
        places, numbers = places[is_inside], numbers[is_inside]
        rows: Rows = places[known[places] == numbers]
        return rows

    def alive_rows(self) -> Rows:
        """Rows that are not deleted, ascending."""
        rows: Rows = np.flatnonzero(~unpack_flags(self.dead, self.count))
        return rows

    def is_alive(self, rows: Rows) -> NDArray[np.bool_]:
        """Whether each of ``rows`` is not deleted."""
        return ~is_set(self.dead, rows)

    def is_found(self, filter_key: str | None) -> NDArray[np.bool_]:
        """Whether each row in use can be found, with or without a filter, shape (count,)."""
        left_out = self.dead if filter_key is None else self.dead | self.filters[filter_key]
        return ~unpack_flags(left_out, self.count)

    def allowed(self, filter_key: str) -> int:
        """Number of rows that can be found under a filter."""
        return clear_count(self.dead | self.filters[filter_key], self.count)

    def hidden(self, filter_key: str | None) -> Bitmap:
        """Rows that the filter excludes; without a filter, the deleted rows."""
        return self.dead if filter_key is None else self.filters[filter_key]

    def delete(self, rows: Rows) -> Self:
        """Return a matrix with these rows deleted."""
        rows = rows[self.is_alive(rows)]
        if not len(rows):
            return self
        dead = self.dead.copy()
        set_rows(dead, rows)
        return replace(self, dead=dead, alive=self.alive - len(rows))

    def append(self, numbers: Numbers, codes: Codes) -> Self:
        """Return a matrix with appended rows, which every filter excludes until ``refilter`` admits them."""
        if not len(numbers):
            return self
        end = self.count + len(numbers)
        roomy = self if end <= self.columns.shape[1] else self._grown(end)
        # No published state includes these rows, so no reader looks at them yet.
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
        """Return a matrix whose filters are decided again for changed pictures.

        Args:
            touched: Pictures whose code or metadata changed.
            matches: For each filter, the touched pictures that it now allows.
            published: Number of rows that readers may know; bits of later rows are changed in place.
        """
        rows = self.rows_of(touched)
        # Filter bits of deleted rows are never read, so a deletion copies no filter.
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
        """Return a matrix with one more filter."""
        is_left_out = np.ones(self.columns.shape[1], np.bool_)
        is_left_out[self.rows_of(allowed)] = False
        return replace(self, filters={**self.filters, key: pack_flags(is_left_out)})

    def without_filter(self, key: str) -> Self:
        """Return a matrix without a filter."""
        return replace(self, filters={k: f for k, f in self.filters.items() if k != key})


def merge_rows(parts: Iterable[tuple[CodeMatrix, Rows]], words: int, filter_keys: Iterable[str]) -> CodeMatrix:
    """Merge chosen rows of several matrices into one matrix, ordered by number, with no row deleted.

    Args:
        parts: Matrices and the rows to take from each; no number may occur twice.
        words: Words per code.
        filter_keys: Filters to keep; rows of a matrix that does not have one are excluded by it.
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
                unpack_flags(matrix.filters[key], matrix.count)[rows]
                if key in matrix.filters
                else np.ones(len(rows), np.bool_)
                for matrix, rows in parts
            ]
        )
        filters[key] = pack_flags(is_left_out[order])
    return CodeMatrix(columns, numbers[order], len(order), all_clear(len(order)), len(order), filters)


def empty_matrix(words: int, filter_keys: Iterable[str] = ()) -> CodeMatrix:
    """An empty matrix, whose filters exclude rows to come."""
    filters = {key: all_set(0) for key in filter_keys}
    return CodeMatrix(np.empty((words, 0), np.uint64), np.empty(0, np.int64), 0, all_clear(0), 0, filters)
