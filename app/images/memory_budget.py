"""Share memory among pictures that are decoded at the same time."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryBudget:
    """A semaphore of bytes for threads; queries go first, and otherwise the order is that of arrival."""

    def __init__(self, max_bytes: int) -> None:
        """Allow ``max_bytes`` bytes in use at the same time."""
        self._max_bytes = self._free = max_bytes
        self._queries: deque[object] = deque()
        self._others: deque[object] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @contextmanager
    def take(self, size: int, *, is_query: bool) -> Iterator[None]:
        """Wait for ``size`` bytes and hold them; a size above the limit takes all of it.

        Args:
            size: Number of bytes.
            is_query: Whether to go before other work that waits.
        """
        size = min(size, self._max_bytes)
        waiting, turn = self._queries if is_query else self._others, object()
        with self._changed:
            waiting.append(turn)
            self._changed.wait_for(lambda: self._closed or (self._first() is turn and size <= self._free))
            waiting.remove(turn)
            self._free -= size
            # The next one may find room, too.
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()

    def close(self) -> None:
        """Let everyone go on, whatever is free."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _first(self) -> object:
        return (self._queries or self._others)[0]
