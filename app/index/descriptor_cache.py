"""Descriptors of recently found pictures in memory, so that a search does not read them from the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

_FIRST_SLOTS: Final = 1_024
_EMPTY: Final = -1
"""Number in a slot without a picture."""


class DescriptorBudget:
    """Bounds the memory of all caches of a process.

    A cache grows while there is room. When there is none, a cache below its equal share gets room from those
    above theirs.
    """

    def __init__(self, max_bytes: int) -> None:
        """Allow ``max_bytes`` in all."""
        self._max_bytes = max_bytes
        self._caches: WeakSet[DescriptorCache] = WeakSet()

    def new_cache(self) -> "DescriptorCache":
        """Return an empty cache, which counts for as long as it is referenced."""
        cache = DescriptorCache(self)
        self._caches.add(cache)
        return cache

    def admits(self, cache: "DescriptorCache", size: int) -> bool:
        """Return whether ``cache`` may grow to ``size`` bytes, after clearing caches above their share."""
        others = [other for other in self._caches if other is not cache]
        used = size + sum(other.nbytes for other in others)
        share = self._max_bytes // max(1, len(self._caches))
        for other in sorted(others, key=lambda one: one.nbytes, reverse=True):
            if used <= self._max_bytes or size > share or other.nbytes <= share:
                break
            used -= other.nbytes
            other.clear()
        return used <= self._max_bytes


class DescriptorCache:
    """Descriptors of one collection under one model by insertion number; used by the event loop alone.

    A picture has one possible slot, its number modulo the number of slots, and replaces the picture in it. As
    numbers are consecutive but for deleted pictures, a cache as large as the collection holds all of it.
    """

    def __init__(self, budget: DescriptorBudget) -> None:
        """Create an empty cache; ``DescriptorBudget.new_cache`` does it."""
        self._budget = budget
        self._readers: list[set[int]] = []
        self.clear()

    def clear(self) -> None:
        """Forget every picture and free the memory."""
        self._numbers = np.empty(0, np.int64)
        self._is_described = np.empty(0, np.bool_)
        self._rows = np.empty((0, 0), np.int8)

    @property
    def nbytes(self) -> int:
        """Memory of the cache, in bytes."""
        return self._numbers.nbytes + self._is_described.nbytes + self._rows.nbytes

    def get(
        self, numbers: Numbers, width: int
    ) -> tuple[NDArray[np.int8], NDArray[np.bool_], NDArray[np.bool_]]:
        """Look up pictures by ``numbers``, shape (n,).

        Returns:
            Their descriptors, shape (n, width), zeros where there is none; which of them have one, shape (n,);
            and which are in the cache at all, shape (n,).
        """
        if self._rows.shape[1] != width:
            nothing = np.zeros(len(numbers), np.bool_)
            return np.zeros((len(numbers), width), np.int8), nothing, nothing.copy()
        slots = numbers % len(self._numbers)
        is_known = self._numbers[slots] == numbers
        is_described = self._is_described[slots] & is_known
        rows = self._rows[slots]
        rows[~is_described] = 0
        return rows, is_described, is_known

    @contextmanager
    def reading(self) -> Iterator[set[int]]:
        """Collect the numbers that change during the block, in which descriptors are read from the database.

        What was read of these pictures may be older than the change, so it must not be put into the cache.
        """
        changed: set[int] = set()
        self._readers.append(changed)
        try:
            yield changed
        finally:
            self._readers = [reader for reader in self._readers if reader is not changed]

    def put(self, numbers: Numbers, rows: NDArray[np.int8], is_described: NDArray[np.bool_]) -> None:
        """Keep descriptors as the database has them.

        Args:
            numbers: The pictures, each once, shape (n,).
            rows: Their descriptors, shape (n, width).
            is_described: Which of them have one, shape (n,).
        """
        if not len(numbers) or not self._make_room(numbers, rows.shape[1]):
            return
        # Two pictures may have the same slot.
        slots, kept = np.unique(numbers % len(self._numbers), return_index=True)
        self._numbers[slots] = numbers[kept]
        self._is_described[slots] = is_described[kept]
        self._rows[slots] = rows[kept]

    def forget(self, numbers: Numbers) -> None:
        """Forget pictures that were changed or deleted."""
        for changed in self._readers:
            changed.update(numbers.tolist())
        if len(self._numbers):
            slots = numbers % len(self._numbers)
            self._numbers[slots[self._numbers[slots] == numbers]] = _EMPTY

    def _make_room(self, numbers: Numbers, width: int) -> bool:
        """Double the slots until these pictures replace no others; return whether there are any slots."""
        if self._rows.shape[1] != width:
            self.clear()
        while not len(self._numbers) or self._replaces(numbers):
            slots = 2 * len(self._numbers) or _FIRST_SLOTS
            if not self._budget.admits(self, slots * (width + 9)):
                break
            self._grow(slots, width)
        return len(self._numbers) > 0

    def _replaces(self, numbers: Numbers) -> bool:
        slots = numbers % len(self._numbers)
        held = self._numbers[slots]
        return bool(((held != _EMPTY) & (held != numbers)).any()) or len(np.unique(slots)) < len(slots)

    def _grow(self, slots: int, width: int) -> None:
        kept = np.flatnonzero(self._numbers != _EMPTY)
        numbers, is_described, rows = self._numbers[kept], self._is_described[kept], self._rows[kept]
        self._numbers = np.full(slots, _EMPTY, np.int64)
        self._is_described = np.zeros(slots, np.bool_)
        self._rows = np.zeros((slots, width), np.int8)
        places = numbers % slots
        self._numbers[places], self._is_described[places] = numbers, is_described
        if len(kept):
            self._rows[places] = rows
