"""The index of one collection under one model: what services add to, delete from and search."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import check_bits, words_for
from app.index.kernels import count_at_distance, nearest

Numbers = NDArray[np.int64]
Codes = NDArray[np.uint64]
Flags = NDArray[np.uint8]

MAX_FILTERS: Final = 64
MAX_MOVED: Final = 4_096
"""Replaced pictures that are kept aside before they are folded back in."""
MAX_DEAD_SHARE: Final = 0.25

_NONE: Final = np.empty(0, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class IndexDelta:
    """What a stretch of the change feed does to an index; applying it twice changes nothing more."""

    version: int
    """Change number that the index stands at afterwards."""
    put_numbers: Numbers
    """Pictures that are new, or replaced; ascending, shape (p,)."""
    put_codes: Codes
    """Their codes, shape (p, words)."""
    deleted_numbers: Numbers
    touched_numbers: Numbers
    """Every picture whose code or metadata changed."""
    filter_matches: Mapping[str, Numbers] = field(default_factory=dict)
    """For each kept filter, those of ``touched_numbers`` that it allows now."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Pictures found, ordered by (distance, number)."""

    numbers: Numbers
    distances: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Segment:
    """Rows in ascending order of number; never changed in place but behind ``count``."""

    columns: Codes
    """Shape (words, capacity): a row a word."""
    numbers: Numbers
    """Shape (capacity,)."""
    count: int
    dead: Flags
    """1 for deleted rows, shape (count,)."""
    filters: Mapping[str, Flags]
    """For each filter 1 for rows that it leaves out, shape (count,)."""

    @classmethod
    def of(cls, numbers: Numbers, codes: Codes) -> Self:
        """A segment of ``codes``, shape (n, words)."""
        columns = np.ascontiguousarray(codes.T)
        return cls(columns, numbers, len(numbers), np.zeros(len(numbers), np.uint8), {})

    def rows_of(self, numbers: Numbers) -> NDArray[np.int64]:
        """Rows of those of ``numbers`` that are here, dead or not."""
        known = self.numbers[: self.count]
        places = np.searchsorted(known, numbers)
        places = places[places < self.count]
        if len(places) == len(numbers):
            found: NDArray[np.int64] = places[known[places] == numbers]
            return found
        rows: NDArray[np.int64] = np.flatnonzero(np.isin(known, numbers))
        return rows

    def excluded(self, filter_key: str | None) -> Flags:
        """Rows to leave out, or an empty array for none."""
        if filter_key is not None:
            return self.dead | self.filters[filter_key]
        return self.dead if self.dead.any() else _NONE

    def search(
        self, query: NDArray[np.uint64], k: int, radius: int, filter_key: str | None
    ) -> tuple[Numbers, NDArray[np.int32]]:
        """Numbers and distances of the nearest ``k``, ordered by (distance, number)."""
        k = min(k, self.count)
        if k <= 0 or radius < 0:
            return np.empty(0, np.int64), np.empty(0, np.int32)
        distances, rows = np.empty(k, np.int32), np.empty(k, np.int64)
        excluded = self.excluded(filter_key)
        found = nearest(self.columns, self.count, excluded, query, k, radius, distances, rows)
        return self.numbers[rows[:found]], distances[:found]

    def kill(self, rows: NDArray[np.int64]) -> Self:
        """The same with these rows deleted."""
        if not len(rows):
            return self
        dead = self.dead.copy()
        dead[rows] = 1
        return replace(self, dead=dead)

    def append(self, numbers: Numbers, codes: Codes) -> Self:
        """The same with new rows behind the last; spare capacity is written to before it is published."""
        count = self.count + len(numbers)
        columns, known = self.columns, self.numbers
        if count > columns.shape[1]:
            capacity = max(1_024, count, columns.shape[1] * 3 // 2)
            columns = np.empty((columns.shape[0], capacity), np.uint64)
            columns[:, : self.count] = self.columns[:, : self.count]
            known = np.empty(capacity, np.int64)
            known[: self.count] = self.numbers[: self.count]
        columns[:, self.count : count] = codes.T
        known[self.count : count] = numbers
        fresh = np.zeros(len(numbers), np.uint8)
        return replace(
            self,
            columns=columns,
            numbers=known,
            count=count,
            dead=np.concatenate([self.dead, fresh]),
            filters={k: np.concatenate([f, fresh + 1]) for k, f in self.filters.items()},
        )

    def refilter(self, touched: Numbers, matches: Mapping[str, Numbers]) -> Self:
        """The same with each filter decided anew for touched pictures."""
        if not self.filters or not len(touched):
            return self
        rows = self.rows_of(touched)
        filters = {}
        for key, flags in self.filters.items():
            changed = flags.copy()
            changed[rows] = 1
            changed[self.rows_of(matches.get(key, touched[:0]))] = 0
            filters[key] = changed
        return replace(self, filters=filters)

    def with_filter(self, key: str, allowed: Numbers) -> Self:
        """The same with one more filter."""
        flags = np.ones(self.count, np.uint8)
        flags[self.rows_of(allowed)] = 0
        return replace(self, filters={**self.filters, key: flags})


@dataclass(frozen=True, slots=True)
class IndexView:
    """One published state: immutable, and as good as long as anyone holds it."""

    bits: int
    version: int
    main: _Segment
    moved: _Segment
    """Replaced pictures, whose numbers lie among those of ``main``."""

    @property
    def count(self) -> int:
        """Pictures that can be found."""
        return sum(s.count - int(np.count_nonzero(s.dead)) for s in (self.main, self.moved))

    @property
    def nbytes(self) -> int:
        """Memory that the index takes."""
        return sum(
            s.columns.nbytes + s.numbers.nbytes + s.dead.nbytes + sum(f.nbytes for f in s.filters.values())
            for s in (self.main, self.moved)
        )

    def has_filter(self, key: str) -> bool:
        """Whether the rows that a filter allows are known."""
        return key in self.main.filters

    def filtered_count(self, key: str) -> int:
        """Pictures that can be found under a filter."""
        return sum(s.count - int(np.count_nonzero(s.excluded(key))) for s in (self.main, self.moved))

    def code_of(self, number: int) -> NDArray[np.uint64] | None:
        """A picture's code, shape (words,), or nothing where it is not here."""
        for segment in (self.moved, self.main):
            rows = segment.rows_of(np.array([number], np.int64))
            if len(rows) and not segment.dead[rows[0]]:
                return np.ascontiguousarray(segment.columns[:, rows[0]])
        return None

    def search(
        self, query: NDArray[np.uint64], k: int, *, radius: int | None = None, filter_key: str | None = None
    ) -> Neighbours:
        """The ``k`` nearest pictures, exact, ordered by (distance, number).

        Args:
            query: Code, shape (words,), uint64.
            k: How many; fewer come back where there are fewer.
            radius: Largest distance, inclusive.
            filter_key: A kept filter.
        """
        limit = self.bits if radius is None else min(radius, self.bits)
        parts = [s.search(query, k, limit, filter_key) for s in (self.main, self.moved) if s.count]
        if len(parts) == 1:
            return Neighbours(*parts[0])
        numbers = np.concatenate([p[0] for p in parts] or [np.empty(0, np.int64)])
        distances = np.concatenate([p[1] for p in parts] or [np.empty(0, np.int32)])
        order = np.lexsort((numbers, distances))[:k]
        return Neighbours(numbers[order], distances[order])

    def count_at(self, query: NDArray[np.uint64], distance: int, *, filter_key: str | None = None) -> int:
        """How many pictures lie at exactly this distance."""
        return sum(
            int(count_at_distance(s.columns, s.count, s.excluded(filter_key), query, distance))
            for s in (self.main, self.moved)
            if s.count
        )


class CollectionIndex:
    """Codes of one collection under one model: one writer at a time, any number of readers that never wait."""

    def __init__(self, bits: int) -> None:
        """An empty index for codes of ``bits`` bits.

        Raises:
            ValueError: No code has that length.
        """
        self.bits = check_bits(bits)
        self._writing = threading.Lock()
        self._filters: OrderedDict[str, None] = OrderedDict()
        self._view = self._view_of(np.empty(0, np.int64), np.empty((0, words_for(bits)), np.uint64), 0)

    def _view_of(self, numbers: Numbers, codes: Codes, version: int) -> IndexView:
        empty = _Segment.of(np.empty(0, np.int64), np.empty((0, words_for(self.bits)), np.uint64))
        return IndexView(self.bits, version, _Segment.of(numbers, codes), empty)

    def view(self) -> IndexView:
        """The state published last."""
        return self._view

    def filter_keys(self) -> list[str]:
        """Filters whose rows are kept."""
        return list(self._filters)

    def load(self, numbers: Numbers, codes: Codes, version: int) -> None:
        """Replace everything.

        Args:
            numbers: Insertion numbers, strictly ascending, shape (n,).
            codes: Shape (n, words).
            version: Change number that they stand at.
        """
        with self._writing:
            self._filters.clear()
            self._view = self._view_of(numbers, codes, version)

    def put_filter(self, key: str, numbers: Numbers, version: int) -> None:
        """Keep the rows that a filter allows; the one used least recently makes room.

        Raises:
            ValueError: The numbers are of another version than the index.
        """
        with self._writing:
            view = self._view
            if view.version != version:
                raise ValueError(f"the index is at {view.version}, the filter's pictures at {version}")
            self._filters[key] = None
            gone = self._filters.popitem(last=False)[0] if len(self._filters) > MAX_FILTERS else None
            segments = [s.with_filter(key, numbers) for s in (view.main, view.moved)]
            for i, segment in enumerate(segments):
                kept = {k: f for k, f in segment.filters.items() if k != gone}
                segments[i] = replace(segment, filters=kept)
            self._view = replace(view, main=segments[0], moved=segments[1])

    def apply(self, delta: IndexDelta) -> None:
        """Publish a delta whole."""
        with self._writing:
            view = self._view
            last = int(view.main.numbers[view.main.count - 1]) if view.main.count else -1
            is_new = delta.put_numbers > last
            main = view.main.append(delta.put_numbers[is_new], delta.put_codes[is_new])
            moved = view.moved
            old = delta.put_numbers[~is_new]
            if len(old):
                main = main.kill(main.rows_of(old))
                moved = _with_moved(moved, old, delta.put_codes[~is_new])
            main = main.kill(main.rows_of(delta.deleted_numbers))
            moved = moved.kill(moved.rows_of(delta.deleted_numbers))
            main = main.refilter(delta.touched_numbers, delta.filter_matches)
            moved = moved.refilter(delta.touched_numbers, delta.filter_matches)
            view = IndexView(self.bits, delta.version, main, moved)
            self._view = _compacted(view) if _is_ragged(view) else view


def _with_moved(moved: _Segment, numbers: Numbers, codes: Codes) -> _Segment:
    """The side segment with these pictures put in their places; their filters are decided by the caller."""
    alive = (moved.dead == 0) & ~np.isin(moved.numbers[: moved.count], numbers)
    return _merged([(moved, np.flatnonzero(alive))], numbers, codes, moved.filters.keys())


def _is_ragged(view: IndexView) -> bool:
    dead = int(np.count_nonzero(view.main.dead))
    return view.moved.count > MAX_MOVED or dead > max(1_024, MAX_DEAD_SHARE * view.main.count)


def _compacted(view: IndexView) -> IndexView:
    """The same pictures without dead rows, replaced ones back in their places."""
    parts = [(s, np.flatnonzero(s.dead == 0)) for s in (view.main, view.moved)]
    words = view.main.columns.shape[0]
    no_numbers, no_codes = np.empty(0, np.int64), np.empty((0, words), np.uint64)
    main = _merged(parts, no_numbers, no_codes, view.main.filters.keys())
    moved = _merged([], no_numbers, no_codes, view.main.filters.keys())
    return replace(view, main=main, moved=moved)


def _merged(
    parts: list[tuple[_Segment, NDArray[np.int64]]],
    numbers: Numbers,
    codes: Codes,
    filter_keys: object,
) -> _Segment:
    """Chosen rows of segments and new rows in one segment, by number; filters leave new rows out."""
    all_numbers = np.concatenate([*(s.numbers[rows] for s, rows in parts), numbers])
    order = np.argsort(all_numbers)
    columns = np.concatenate([*(s.columns[:, rows] for s, rows in parts), codes.T], axis=1)
    ones = np.ones(len(numbers), np.uint8)
    return _Segment(
        columns=np.ascontiguousarray(columns[:, order]),
        numbers=all_numbers[order],
        count=len(order),
        dead=np.zeros(len(order), np.uint8),
        filters={
            key: np.concatenate([*(s.filters[key][rows] for s, rows in parts), ones])[order]
            for key in list(filter_keys)  # type: ignore[call-overload]
        },
    )
