"""Interface of an index that services search: a view of its codes at one version.

An index in this process and one on a database server implement it. What only a local index has is not part of
it: hash tables, snapshots, shared pages, scan threads, weighted bits, groups of near pictures.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.index.histogram import DistanceHistogram
from app.index.matrix import Neighbours, Numbers, Position


class View(Protocol):
    """One state of an index; it gives the same answers for as long as a reader holds it.

    Rankings are exact and ordered by (distance, number). ``filter_key`` is the key of a filter that the index
    knows; ``radius`` is the largest distance, inclusive; ``after`` restricts an answer to what follows it.

    Methods of a remote view raise ``IndexUnavailable`` if its server does not answer in time.
    """

    @property
    def bits(self) -> int:
        """Code length."""

    @property
    def version(self) -> int:
        """Change number of this state."""

    @property
    def is_remote(self) -> bool:
        """Whether methods wait for another machine, so that an event loop must call them in a thread."""

    @property
    def count(self) -> int:
        """Number of pictures that can be found; known without waiting."""

    @property
    def nbytes(self) -> int:
        """Memory used in this process, in bytes."""

    def has_filter(self, key: str) -> bool:
        """Return whether the index knows this filter."""

    def filtered_count(self, key: str) -> int:
        """Return the number of pictures that can be found under a filter."""

    def code_of(self, number: int) -> NDArray[np.uint64] | None:
        """Return the code of a picture, shape (words,), or None if it is not in the index."""

    def codes_of(
        self, numbers: Numbers, *, filter_key: str | None = None
    ) -> tuple[Numbers, NDArray[np.uint64]]:
        """Return the findable pictures among ascending ``numbers``, and their codes, shape (m, words)."""

    def search(
        self,
        query: NDArray[np.uint64],
        k: int,
        *,
        radius: int | None = None,
        filter_key: str | None = None,
        after: Position | None = None,
    ) -> Neighbours:
        """Return the ``k`` nearest pictures to a code, shape (words,)."""

    def search_many(
        self, queries: NDArray[np.uint64], k: int, *, radius: int | None = None, filter_key: str | None = None
    ) -> list[Neighbours]:
        """Answer several queries, shape (q, words), as ``search`` would."""

    def search_nearest_of(
        self,
        queries: NDArray[np.uint64],
        k: int,
        *,
        radius: int | None = None,
        filter_key: str | None = None,
        after: Position | None = None,
    ) -> Neighbours:
        """Rank by the distance to the nearest of several codes, shape (q, words), at least one."""

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
        """Rank by the sum of distances to ``wanted`` (p, words) minus the sum of those to ``unwanted``."""

    def count_nearest_at(
        self, queries: NDArray[np.uint64], distance: int, *, filter_key: str | None = None
    ) -> int:
        """Count the pictures whose nearest of ``queries`` (q, words) is at exactly ``distance``."""

    def count_examples_at(
        self,
        wanted: NDArray[np.uint64],
        unwanted: NDArray[np.uint64],
        difference: int,
        *,
        filter_key: str | None = None,
    ) -> int:
        """Count the pictures with exactly this difference, as ``search_examples`` computes it."""

    def distance_counts(
        self, query: NDArray[np.uint64], *, filter_key: str | None = None, most: int
    ) -> DistanceHistogram:
        """Count the pictures at each distance from a code, shape (words,).

        Args:
            query: The code.
            filter_key: Key of a known filter.
            most: About how many pictures to measure at most, evenly spread; a view may measure all.
        """
