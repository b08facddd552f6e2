"""The index of a collection whose codes are in the engine, with this process's newer changes in memory.

A view is a published version of the engine and a small local index of the pictures that changed after it. So a
search finds what this process has read from the feed, however far the engine is behind.
"""

import threading
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import check_bits
from app.domain.filters import Filter
from app.index.collection_index import CollectionIndex, IndexDelta, IndexView, Neighbours
from app.index.histogram import DistanceHistogram
from app.index.matrix import Numbers, Position
from app.index.scan import merge_neighbours
from app.remote.connection import EngineConnection
from app.remote.filters import filter_sql
from app.remote.journal import Generation
from app.remote.stored_codes import StoredCodes, difference_sql, distance_sql, least_sql

Codes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class RemoteView:
    """One state: a version in the engine, and later changes in this process."""

    bits: int
    version: int
    stored: StoredCodes
    newer: IndexView
    """Pictures that changed after the version in the engine."""
    hidden: tuple[int, ...]
    """Pictures of the engine that changed after its version, or were deleted."""
    count: int
    """Number of pictures that can be found."""
    filters: Mapping[str, Filter]
    is_remote: ClassVar[bool] = True
    """Methods wait for the engine; they raise ``IndexUnavailable``."""

    @property
    def nbytes(self) -> int:
        """Memory used in this process, in bytes."""
        return self.newer.nbytes

    def has_filter(self, key: str) -> bool:
        """Whether the index knows this filter."""
        return key in self.filters

    def filtered_count(self, key: str) -> int:
        """Number of pictures that can be found under a filter."""
        stored = self.stored.count(hidden=self.hidden, condition=self._condition(key))
        return stored + self.newer.filtered_count(key)

    def code_of(self, number: int) -> Codes | None:
        """The code of a picture, shape (words,), or None if it is not in the index."""
        _, codes = self.codes_of(np.array([number], np.int64))
        return codes[0] if len(codes) else None

    def codes_of(self, numbers: Numbers, *, filter_key: str | None = None) -> tuple[Numbers, Codes]:
        """The findable pictures among ascending ``numbers``, and their codes, shape (m, words)."""
        found, codes = self.newer.codes_of(numbers, filter_key=filter_key)
        rest = np.setdiff1d(numbers, found)
        rest = rest[~np.isin(rest, self.hidden)]
        if not len(rest):
            return found, codes
        stored, stored_codes = self.stored.codes_of(
            rest.tolist(), hidden=(), condition=self._condition(filter_key)
        )
        known = np.concatenate([found, stored])
        order = np.argsort(known)
        return known[order], np.concatenate([codes, stored_codes])[order]

    def search(
        self,
        query: Codes,
        k: int,
        *,
        radius: int | None = None,
        filter_key: str | None = None,
        after: Position | None = None,
    ) -> Neighbours:
        """The ``k`` nearest pictures to a code, shape (words,)."""
        newer = self.newer.search(query, k, radius=radius, filter_key=filter_key, after=after)
        return self._ranked([distance_sql(query)], k, radius, filter_key, after, [newer])[0]

    def search_many(
        self, queries: Codes, k: int, *, radius: int | None = None, filter_key: str | None = None
    ) -> list[Neighbours]:
        """Answer several queries, shape (q, words), as ``search`` would."""
        newer = self.newer.search_many(queries, k, radius=radius, filter_key=filter_key)
        values = [distance_sql(query) for query in queries]
        return self._ranked(values, k, radius, filter_key, None, newer)

    def search_nearest_of(
        self,
        queries: Codes,
        k: int,
        *,
        radius: int | None = None,
        filter_key: str | None = None,
        after: Position | None = None,
    ) -> Neighbours:
        """The ``k`` pictures nearest to any of several codes, shape (q, words), at least one."""
        newer = self.newer.search_nearest_of(queries, k, radius=radius, filter_key=filter_key, after=after)
        return self._ranked([least_sql(queries)], k, radius, filter_key, after, [newer])[0]

    def search_examples(
        self,
        wanted: Codes,
        unwanted: Codes,
        k: int,
        *,
        radius: int | None = None,
        filter_key: str | None = None,
        after: Position | None = None,
    ) -> Neighbours:
        """The first ``k`` by the sum of distances to ``wanted`` minus the sum of those to ``unwanted``."""
        newer = self.newer.search_examples(
            wanted, unwanted, k, radius=radius, filter_key=filter_key, after=after
        )
        return self._ranked([difference_sql(wanted, unwanted)], k, radius, filter_key, after, [newer])[0]

    def count_nearest_at(self, queries: Codes, distance: int, *, filter_key: str | None = None) -> int:
        """Number of pictures whose nearest of ``queries`` (q, words) is at exactly ``distance``."""
        newer = self.newer.count_nearest_at(queries, distance, filter_key=filter_key)
        return newer + self._count_at(least_sql(queries), distance, filter_key)

    def count_examples_at(
        self, wanted: Codes, unwanted: Codes, difference: int, *, filter_key: str | None = None
    ) -> int:
        """Number of pictures with exactly this difference, as ``search_examples`` computes it."""
        newer = self.newer.count_examples_at(wanted, unwanted, difference, filter_key=filter_key)
        return newer + self._count_at(difference_sql(wanted, unwanted), difference, filter_key)

    def distance_counts(self, query: Codes, *, filter_key: str | None = None, most: int) -> DistanceHistogram:
        """Numbers of pictures by distance from a code; the engine measures all and ignores ``most``."""
        counts = self.newer.distance_counts(
            query, filter_key=filter_key, most=max(most, self.newer.count)
        ).counts.copy()
        stored = self.stored.counts_by(
            distance_sql(query), hidden=self.hidden, condition=self._condition(filter_key)
        )
        for distance, pictures in stored.items():
            counts[distance] += pictures
        measured = int(counts.sum())
        return DistanceHistogram(counts, measured, measured)

    def _ranked(
        self,
        values: Sequence[str],
        k: int,
        radius: int | None,
        filter_key: str | None,
        after: Position | None,
        newer: Sequence[Neighbours],
    ) -> list[Neighbours]:
        if k <= 0:
            return list(newer)
        stored = self.stored.rankings(
            values, k, hidden=self.hidden, condition=self._condition(filter_key), radius=radius, after=after
        )
        return [merge_neighbours(a, b, k) for a, b in zip(stored, newer, strict=True)]

    def _count_at(self, value: str, at: int, filter_key: str | None) -> int:
        return self.stored.count(
            hidden=self.hidden, condition=self._condition(filter_key), value=f"({value}) = {at}"
        )

    def _condition(self, filter_key: str | None) -> str | None:
        return None if filter_key is None else filter_sql(self.filters[filter_key])


class RemoteIndex:
    """A collection's codes under one model in the engine, for one writer and any number of readers."""

    def __init__(
        self, connection: EngineConnection, generation: Generation, applied: int, count: int, bits: int
    ) -> None:
        """Read a generation at its published version ``applied``, at which it has ``count`` pictures."""
        self.bits = check_bits(bits)
        self._connection = connection
        self._writing = threading.Lock()
        self._newer = CollectionIndex(bits)
        self._newer.apply(_delta(applied))
        # Pictures that changed after ``applied``, each with the change number at which its row was read: the
        # engine has that row from this version on.
        self._touched: dict[int, int] = {}
        self._filters: dict[str, Filter] = {}
        self._generation = generation
        self.applied = applied
        """Version of the engine that searches read."""
        self._count = count
        self._counted_at = applied
        self._must_count = False
        self._view = self._made_view()

    @classmethod
    def open(
        cls, connection: EngineConnection, generation: Generation, applied: int, bits: int
    ) -> "RemoteIndex":
        """Open a generation at a published version.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        count = StoredCodes(connection, generation, applied).count(hidden=())
        return cls(connection, generation, applied, count, bits)

    @property
    def owner(self) -> str:
        """The collection and model, as the engine knows them."""
        return self._generation.owner

    def view(self) -> RemoteView:
        """The most recently published state."""
        return self._view

    def lacking(self, numbers: Sequence[int]) -> set[int]:
        """Return those of ``numbers`` that the engine does not have at the version that searches read.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        stored = StoredCodes(self._connection, self._generation, self.applied)
        found, _ = stored.codes_of(numbers, hidden=(), condition=None)
        return set(numbers).difference(found.tolist())

    def filter_keys(self) -> list[str]:
        """Keys of the known filters."""
        return list(self._filters)

    def newer_numbers(self) -> list[int]:
        """Numbers of the pictures in memory, which ``put_filter`` needs to be matched."""
        return sorted(self._touched)

    def put_filter(self, wanted: Filter, numbers: Numbers, version: int) -> None:
        """Know a filter from now on; the oldest one is dropped when there are too many.

        Args:
            wanted: The filter.
            numbers: Those of ``newer_numbers`` that pass it, ascending.
            version: Change number at which they do.

        Raises:
            ValueError: The numbers belong to another version than the index.
        """
        with self._writing:
            self._newer.put_filter(wanted.key, numbers, version)
            kept = set(self._newer.filter_keys())
            self._filters = {
                key: one for key, one in {**self._filters, wanted.key: wanted}.items() if key in kept
            }
            self._view = self._made_view()

    def apply(self, delta: IndexDelta, *, read_at: int, missing: Container[int]) -> None:
        """Apply changes that the engine may lack, and publish the result as one state.

        Args:
            delta: The changes; unlike for a local index, each picture with changed metadata has its code.
            read_at: Change number of the database when the rows were read, at least the delta's version.
            missing: Pictures that had no code before these changes.
        """
        with self._writing:
            put = set(delta.put_numbers.tolist())
            before = set(self._newer.view().codes_of(delta.touched_numbers)[0].tolist())
            for number in delta.touched_numbers.tolist():
                if number in self._touched:
                    was_found = number in before
                else:
                    was_found = number <= self.applied and number not in missing
                self._count += (number in put) - was_found
                self._touched[number] = read_at
            self._newer.apply(delta)
            self._view = self._made_view()

    def advance(self, generation: Generation, applied: int, repaired: int = 0) -> None:
        """Read a newer version of the engine, and drop the changes that it contains from memory.

        Args:
            generation: The newest generation.
            applied: Its newest version.
            repaired: The last version at which its rows were repaired; 0 if they were not.
        """
        with self._writing:
            self._must_count |= generation != self._generation or self._counted_at < repaired <= applied
            if generation == self._generation and applied <= self.applied:
                return
            if generation.id < self._generation.id or applied < self.applied:
                return
            settled = [number for number, read_at in self._touched.items() if read_at <= applied]
            for number in settled:
                del self._touched[number]
            self._generation, self.applied = generation, applied
            numbers = np.array(sorted(settled), np.int64)
            self._newer.apply(
                replace(_delta(self._newer.view().version), deleted_numbers=numbers, touched_numbers=numbers)
            )
            self._view = self._made_view()

    def recount(self) -> None:
        """Count the pictures of the engine again if its rows were repaired since they were counted.

        If the index changes meanwhile, the next call does it.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        if not self._must_count:
            return
        then = self._view
        count = then.stored.count(hidden=then.hidden)
        with self._writing:
            now = self._view
            if (now.stored, now.hidden) != (then.stored, then.hidden):
                return
            self._count, self._counted_at = count + now.newer.count, then.stored.version
            self._must_count = False
            self._view = self._made_view()

    def _made_view(self) -> RemoteView:
        newer = self._newer.view()
        # The engine has no picture that was added after its version.
        hidden = tuple(number for number in self._touched if number <= self.applied)
        stored = StoredCodes(self._connection, self._generation, self.applied)
        return RemoteView(self.bits, newer.version, stored, newer, hidden, self._count, dict(self._filters))


def _delta(version: int) -> IndexDelta:
    none = np.empty(0, np.int64)
    return IndexDelta(version, none, np.empty((0, 0), np.uint64), none, none)
