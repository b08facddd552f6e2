"""A published, immutable state of an index, which readers search."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from app.index import multi_query, planner
from app.index.bitmap import is_set
from app.index.histogram import DistanceHistogram, distance_histogram
from app.index.matrix import CodeMatrix, Neighbours, Numbers, Position
from app.index.recent_searches import RecentSearches
from app.index.scan import SINGLE_THREAD, ScanThreads, merge_neighbours, no_neighbours


@dataclass(frozen=True, slots=True)
class IndexView:
    """One state of an index; immutable, so it stays valid for as long as a reader holds it."""

    bits: int
    version: int
    main: CodeMatrix
    tail: CodeMatrix
    """Pictures added since ``main`` was built, with numbers greater than all of its."""
    moved: CodeMatrix
    """Pictures whose code was replaced; their old rows in ``main`` or ``tail`` are marked as deleted."""
    threads: ScanThreads = SINGLE_THREAD
    """Threads used by scans."""
    recent: RecentSearches = field(default_factory=RecentSearches)
    """Searches of all states of the index."""
    lineage: object = field(default_factory=object)
    """Equal in states between which no row moved; merging or loading starts a new lineage."""
    is_remote: ClassVar[bool] = False
    """Whether methods wait for another machine."""

    @property
    def parts(self) -> tuple[CodeMatrix, CodeMatrix, CodeMatrix]:
        """The three matrices; each picture that is not deleted is in exactly one of them."""
        return self.main, self.tail, self.moved

    @property
    def count(self) -> int:
        """Number of pictures that can be found."""
        return sum(matrix.alive for matrix in self.parts)

    @property
    def own_rows(self) -> int:
        """Number of rows in private memory of this process."""
        return sum(matrix.count for matrix in self.parts if not matrix.is_shared)

    @property
    def nbytes(self) -> int:
        """Memory used by the index, in bytes."""
        return sum(matrix.nbytes for matrix in self.parts)

    def has_filter(self, key: str) -> bool:
        """Whether the bitmaps of this filter are kept."""
        return key in self.main.filters

    def filtered_count(self, key: str) -> int:
        """Number of pictures that can be found under a filter."""
        return sum(matrix.allowed(key) for matrix in self.parts)

    def with_difference(self, name: str, key: str | None, other: str) -> "IndexView":
        """Return this state with a filter that passes what one filter passes and another does not.

        Args:
            name: Key of the new filter.
            key: Key of a kept filter; None for all pictures.
            other: Key of another kept filter.
        """
        main, tail, moved = (
            replace(matrix, filters={**matrix.filters, name: matrix.hidden(key) | ~matrix.filters[other]})
            for matrix in self.parts
        )
        return replace(self, main=main, tail=tail, moved=moved)

    def code_of(self, number: int) -> NDArray[np.uint64] | None:
        """The code of a picture, shape (words,), or None if it is not in the index."""
        _, codes = self.codes_of(np.array([number], np.int64))
        return codes[0] if len(codes) else None

    def codes_of(
        self, numbers: Numbers, *, filter_key: str | None = None
    ) -> tuple[Numbers, NDArray[np.uint64]]:
        """The findable pictures among ascending ``numbers``, and their codes, shape (m, words)."""
        found, codes = [], []
        for matrix in self.parts:
            if not matrix.count and matrix is not self.main:
                continue
            rows = matrix.rows_of(numbers)
            rows = rows[matrix.is_alive(rows)]
            if filter_key is not None:
                rows = rows[~is_set(matrix.filters[filter_key], rows)]
            found.append(matrix.numbers[rows])
            codes.append(matrix.columns[:, rows].T)
        if len(found) == 1:
            return found[0], np.ascontiguousarray(codes[0])
        known = np.concatenate(found)
        order = np.argsort(known)
        return known[order], np.concatenate(codes)[order]

    def sample_numbers(self, limit: int) -> Numbers:
        """About ``limit`` evenly spaced numbers of each matrix, and its last ``limit``, ascending."""
        found = []
        for matrix in self.parts:
            spread = np.linspace(0, matrix.count - 1, min(limit, matrix.count)).astype(np.int64)
            rows = np.union1d(spread, np.arange(max(0, matrix.count - limit), matrix.count))
            found.append(matrix.numbers[rows[matrix.is_alive(rows)]])
        return np.sort(np.concatenate(found))

    def search(
        self,
        query: NDArray[np.uint64],
        k: int,
        *,
        radius: int | None = None,
        filter_key: str | None = None,
        after: Position | None = None,
    ) -> Neighbours:
        """The ``k`` nearest pictures, exact, ordered by (distance, number).

        Args:
            query: Code, shape (words,), uint64.
            k: Number of pictures to return; fewer if the index has fewer.
            radius: Largest distance, inclusive.
            filter_key: Key of a kept filter.
            after: Place in the ranking after which to start.
        """
        queries = query.reshape(1, -1)
        if after is None:
            return self.search_many(queries, k, radius=radius, filter_key=filter_key)[0]

        def first(depth: int) -> Neighbours:
            return self.search_many(queries, depth, radius=radius, filter_key=filter_key)[0]

        return self._following(first, k, after)

    def search_many(
        self, queries: NDArray[np.uint64], k: int, *, radius: int | None = None, filter_key: str | None = None
    ) -> list[Neighbours]:
        """Answer several queries as ``search`` would; each block of codes is read once for all of them.

        Args:
            queries: Codes, shape (q, words), uint64.
            k: Number of pictures to return for each query.
            radius: Largest distance, inclusive.
            filter_key: Key of a kept filter.
        """
        queries = np.ascontiguousarray(queries, np.uint64)
        if k <= 0 or (radius is not None and radius < 0):
            return [no_neighbours() for _ in queries]
        limit = self.bits if radius is None else min(radius, self.bits)
        limits = np.array([limit] * len(queries), np.int64)
        if filter_key is None:
            self.recent.add(queries, k, limit)
        best: list[Neighbours] = []
        for matrix in self.parts:
            if not matrix.alive:
                continue
            for j, answer in enumerate(best):
                if len(answer.distances) == k:
                    # This matrix may hold ties with smaller numbers, so the limit stays inclusive.
                    limits[j] = answer.distances[-1]
            found = planner.search(matrix, queries, k, limits, filter_key, threads=self.threads)
            best = [merge_neighbours(a, b, k) for a, b in zip(best, found, strict=True)] if best else found
        return best or [no_neighbours() for _ in queries]

    def count_at(self, query: NDArray[np.uint64], distance: int, *, filter_key: str | None = None) -> int:
        """Number of pictures at exactly this distance."""
        return sum(
            planner.count_at(matrix, query, distance, filter_key, threads=self.threads)
            for matrix in self.parts
            if matrix.alive
        )

    def search_nearest_of(
        self,
        queries: NDArray[np.uint64],
        k: int,
        *,
        radius: int | None = None,
        filter_key: str | None = None,
        after: Position | None = None,
    ) -> Neighbours:
        """The ``k`` pictures nearest to any of several codes, shape (q, words), at least one."""

        def first(depth: int) -> Neighbours:
            return multi_query.search_nearest_of(self, queries, depth, radius=radius, filter_key=filter_key)

        return self._following(first, k, after)

    def search_examples(
        self,
        wanted: NDArray[np.uint64],
        unwanted: NDArray[np.uint64],
        k: int,
        *,
        radius: int | None = None,
        filter_key: str | None = None,
        after: Position | None = None,
    ) -> Neighbours:
        """The first ``k`` by the sum of distances to ``wanted`` minus the sum of those to ``unwanted``."""

        def first(depth: int) -> Neighbours:
            return multi_query.search_examples(
                self, wanted, unwanted, depth, limit=radius, filter_key=filter_key
            )

        return self._following(first, k, after)

    def count_nearest_at(
        self, queries: NDArray[np.uint64], distance: int, *, filter_key: str | None = None
    ) -> int:
        """Number of pictures whose nearest of ``queries`` (q, words) is at exactly ``distance``."""
        return multi_query.count_nearest_at(self, queries, distance, filter_key=filter_key)

    def count_examples_at(
        self,
        wanted: NDArray[np.uint64],
        unwanted: NDArray[np.uint64],
        difference: int,
        *,
        filter_key: str | None = None,
    ) -> int:
        """Number of pictures with exactly this difference, as ``search_examples`` computes it."""
        return multi_query.count_examples_at(self, wanted, unwanted, difference, filter_key=filter_key)

    def distance_counts(
        self, query: NDArray[np.uint64], *, filter_key: str | None = None, most: int
    ) -> DistanceHistogram:
        """Numbers of pictures by distance from a code; of about ``most`` evenly spread ones at most."""
        return distance_histogram(self.parts, self.bits, query, filter_key=filter_key, most=most)

    def _following(self, first: Callable[[int], Neighbours], k: int, after: Position | None) -> Neighbours:
        """The first ``k`` pictures after a position, given a search for the first of all.

        Search to the depth of the earlier pages and skip them. If pictures were added among them, double the
        depth until there are ``k`` or the index ends.
        """
        if after is None:
            return first(k)
        depth = k + after.rank
        while True:
            found = first(min(depth, self.count))
            is_later = (found.distances > after.distance) | (
                (found.distances == after.distance) & (found.numbers > after.number)
            )
            rows = np.flatnonzero(is_later)
            if len(rows) >= k or len(found.numbers) < depth or depth >= self.count:
                passed = int(np.count_nonzero((found.distances == after.distance) & ~is_later))
                return Neighbours(found.numbers[rows[:k]], found.distances[rows[:k]], passed)
            depth *= 2
