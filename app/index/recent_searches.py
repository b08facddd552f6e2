"""Recent searches of an index, by which it decides whether hash tables are worth their memory."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

KEPT: Final = 32
"""Number of searches that are kept as trial queries."""
FIRST_DUE: Final = 256
"""Number of searches after which tables are judged by searches for the first time."""
MAX_K: Final = 100
"""Most neighbours of a search that is kept; larger answers come from the scan in any case."""


@dataclass(frozen=True, slots=True)
class PastSearch:
    """A search without a filter."""

    query: NDArray[np.uint64]
    """Shape (words,)."""
    k: int
    limit: int
    """Largest distance, inclusive."""


class RecentSearches:
    """The last searches. Threads may add at the same time and lose a count; an estimate is enough."""

    def __init__(self) -> None:
        """Start without searches."""
        self._kept: deque[PastSearch] = deque(maxlen=KEPT)
        self._count = 0
        self._due = FIRST_DUE

    def add(self, queries: NDArray[np.uint64], k: int, limit: int) -> None:
        """Count searches with the same limits, and keep the last of them.

        Args:
            queries: Shape (q, words).
            k: Number of neighbours wanted.
            limit: Largest distance, inclusive.
        """
        if k <= MAX_K:
            self._count += len(queries)
            self._kept.extend(PastSearch(query, k, limit) for query in queries[-KEPT:])

    @property
    def is_due(self) -> bool:
        """Whether tables should be judged again: searches have doubled since the last time."""
        return self._count >= self._due

    def take(self) -> list[PastSearch]:
        """Return the kept searches, none while there are too few, and put off the next judgement."""
        if self._count < FIRST_DUE:
            return []
        self._due = max(self._due, 2 * self._count)
        return list(self._kept)
