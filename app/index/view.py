"""What readers search: one published state of an index."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.index import planner
from app.index.bitmap import is_set
from app.index.matrix import CodeMatrix, Neighbours, Numbers
from app.index.scan import ALONE, ScanThreads, nearer, nothing


@dataclass(frozen=True, slots=True)
class IndexView:
    """Immutable, and as good as long as anyone holds it."""

    bits: int
    version: int
    main: CodeMatrix
    tail: CodeMatrix
    """Pictures added since ``main`` was built: their numbers are greater than all of its."""
    moved: CodeMatrix
    """Replaced pictures: their old rows in ``main`` or ``tail`` are deleted."""
    threads: ScanThreads = ALONE
    """Who scans."""
    lineage: object = field(default_factory=object)
    """The same in all states between two that were merged or loaded: no row has moved between them."""

    @property
    def parts(self) -> tuple[CodeMatrix, CodeMatrix, CodeMatrix]:
        """Every matrix; a picture that is not deleted lies in exactly one."""
        return self.main, self.tail, self.moved

    @property
    def count(self) -> int:
        """Pictures that can be found."""
        return sum(matrix.alive for matrix in self.parts)

    @property
    def own_rows(self) -> int:
        """Rows that this process alone keeps in memory."""
        return sum(matrix.count for matrix in self.parts if not matrix.is_shared)

    @property
    def nbytes(self) -> int:
        """Memory that the index takes."""
        return sum(matrix.nbytes for matrix in self.parts)

    def has_filter(self, key: str) -> bool:
        """Whether the rows that a filter allows are known."""
        return key in self.main.filters

    def filtered_count(self, key: str) -> int:
        """Pictures that can be found under a filter."""
        return sum(matrix.allowed(key) for matrix in self.parts)

    def code_of(self, number: int) -> NDArray[np.uint64] | None:
        """A picture's code, shape (words,), or nothing where it is not here."""
        _, codes = self.codes_of(np.array([number], np.int64))
        return codes[0] if len(codes) else None

    def codes_of(
        self, numbers: Numbers, *, filter_key: str | None = None
    ) -> tuple[Numbers, NDArray[np.uint64]]:
        """Those of ascending ``numbers`` that can be found, and their codes, shape (m, words)."""
        found, codes = [], []
        for matrix in self.parts:
            rows = matrix.rows_of(numbers)
            rows = rows[matrix.is_alive(rows)]
            if filter_key is not None:
                rows = rows[~is_set(matrix.filters[filter_key], rows)]
            found.append(matrix.numbers[rows])
            codes.append(matrix.columns[:, rows].T)
        known = np.concatenate(found)
        order = np.argsort(known)
        return known[order], np.concatenate(codes)[order]

    def sample_numbers(self, limit: int) -> Numbers:
        """Some pictures from all over each matrix, and its last: about ``limit`` of each, ascending."""
        found = []
        for matrix in self.parts:
            spread = np.linspace(0, matrix.count - 1, min(limit, matrix.count)).astype(np.int64)
            rows = np.union1d(spread, np.arange(max(0, matrix.count - limit), matrix.count))
            found.append(matrix.numbers[rows[matrix.is_alive(rows)]])
        return np.sort(np.concatenate(found))

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
        return self.search_many(query.reshape(1, -1), k, radius=radius, filter_key=filter_key)[0]

    def search_many(
        self, queries: NDArray[np.uint64], k: int, *, radius: int | None = None, filter_key: str | None = None
    ) -> list[Neighbours]:
        """The answers to several queries, as ``search`` gives each: every block of codes is read once for all.

        Args:
            queries: Codes, shape (q, words), uint64.
            k: How many for each.
            radius: Largest distance, inclusive.
            filter_key: A kept filter.
        """
        queries = np.ascontiguousarray(queries, np.uint64)
        if k <= 0 or (radius is not None and radius < 0):
            return [nothing() for _ in queries]
        limit = self.bits if radius is None else min(radius, self.bits)
        limits = np.array([limit] * len(queries), np.int64)
        best: list[Neighbours] = []
        for matrix in self.parts:
            if not matrix.alive:
                continue
            for j, answer in enumerate(best):
                if len(answer.distances) == k:
                    # This matrix may hold equals with smaller numbers, so the bound stays inclusive.
                    limits[j] = answer.distances[-1]
            found = planner.search(matrix, queries, k, limits, filter_key, threads=self.threads)
            best = [nearer(a, b, k) for a, b in zip(best, found, strict=True)] if best else found
        return best or [nothing() for _ in queries]

    def count_at(self, query: NDArray[np.uint64], distance: int, *, filter_key: str | None = None) -> int:
        """How many pictures lie at exactly this distance."""
        return sum(
            planner.count_at(matrix, query, distance, filter_key, threads=self.threads)
            for matrix in self.parts
            if matrix.alive
        )
