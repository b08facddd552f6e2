"""The budget of one lane: places for requests being processed, and bytes of their bodies."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from app.domain.errors import Overloaded, RateLimited

GRACE_S: Final = 2.0
"""Time before an arriving body may be called slow, in seconds."""
RETRY_WITHIN_S: Final = 3
"""Refused requests are told to return after 1, 2 and 3 seconds by turns.

Refusing all of them again after one second takes processor time from those that have a place.
"""


class Budget:
    """The places and bytes of one lane.

    A request takes a place when its body is complete, so that slow bodies take none. A body counts from its
    first byte; when room runs out, the bodies that arrive too slowly make room for the others.
    """

    def __init__(
        self,
        *,
        max_requests: int,
        max_per_caller: int,
        max_arriving: int,
        max_bytes: int,
        slow_bytes_per_s: int,
    ) -> None:
        """Set the limits.

        Args:
            max_requests: Maximum requests processed at a time.
            max_per_caller: Most of them for one caller.
            max_arriving: Most requests whose body is arriving.
            max_bytes: Most bytes of bodies, arriving or being worked on. A single body always has room.
            slow_bytes_per_s: Rate below which an arriving body may be evicted.
        """
        self.max_requests: Final = max_requests
        self.on_use: Callable[[int], object] = lambda _: None
        """Called with the number of occupied places when it changes."""
        self._max_per_caller = max_per_caller
        self._max_arriving = max_arriving
        self._max_bytes = max_bytes
        self._slow_bytes_per_s = slow_bytes_per_s
        self._places = 0
        self._places_of: Counter[str] = Counter()
        self._bytes = 0
        self._retry_after_s = itertools.cycle(range(1, RETRY_WITHIN_S + 1))
        # In the order in which they began.
        self._arriving: dict[Arrival, None] = {}

    def check(self, caller: str, declared_bytes: int) -> None:
        """Check that there is a place, and room for a body of the declared size.

        Raises:
            Overloaded: There is not.
            RateLimited: The caller has all the places that it may have.
        """
        self._check_place(caller)
        if not self._make_room(declared_bytes, None):
            raise Overloaded(retry_after_s=next(self._retry_after_s))

    @contextmanager
    def arrival(self, caller: str) -> Iterator["Arrival"]:
        """Account for one request until it is answered."""
        arrival = Arrival(self, caller, asyncio.get_running_loop().time())
        self._arriving[arrival] = None
        try:
            yield arrival
        finally:
            self.release(arrival)
            if arrival.is_complete:
                self._places -= 1
                self.on_use(self._places)
                self._places_of[caller] -= 1
                if not self._places_of[caller]:
                    del self._places_of[caller]

    def take_place(self, arrival: "Arrival") -> None:
        """Give a place to a request whose body is complete.

        Raises:
            Overloaded: There is none.
            RateLimited: The caller has all the places that it may have.
        """
        self._arriving.pop(arrival, None)
        self._check_place(arrival.caller)
        self._places += 1
        self.on_use(self._places)
        self._places_of[arrival.caller] += 1

    def take_bytes(self, arrival: "Arrival", size: int) -> None:
        """Count bytes of an arriving body.

        Raises:
            Overloaded: There is no room for them.
        """
        if not self._make_room(size, arrival):
            raise Overloaded(retry_after_s=next(self._retry_after_s))
        self._bytes += size

    def release(self, arrival: "Arrival") -> None:
        """Forget the bytes of a request."""
        self._arriving.pop(arrival, None)
        self._bytes -= arrival.size
        arrival.size = 0

    def _check_place(self, caller: str) -> None:
        if self._places >= self.max_requests:
            raise Overloaded(retry_after_s=next(self._retry_after_s))
        if self._places_of[caller] >= self._max_per_caller:
            raise RateLimited(
                f"This caller has {self._max_per_caller} requests in flight; send the next after an answer.",
                retry_after_s=next(self._retry_after_s),
            )

    def _make_room(self, size: int, newcomer: "Arrival | None") -> bool:
        """Evict the oldest slow bodies until there is room; evict none if that would not suffice."""
        now = asyncio.get_running_loop().time()
        held, arriving = self._bytes, len(self._arriving)
        evicted: list[Arrival] = []

        def has_room() -> bool:
            fits = held == 0 or held + size <= self._max_bytes
            return fits and (newcomer is not None or arriving < self._max_arriving)

        for arrival in self._arriving:
            if has_room():
                break
            if arrival is not newcomer and arrival.is_slower_than(self._slow_bytes_per_s, now):
                evicted.append(arrival)
                held -= arrival.size
                arriving -= 1
        if not has_room():
            return False
        for arrival in evicted:
            arrival.evict()
        return True


class Arrival:
    """One request: how much of its body has arrived, and whether it has a place."""

    def __init__(self, budget: Budget, caller: str, began: float) -> None:
        self._budget = budget
        self._began = began
        self.caller = caller
        self.size = 0
        self.is_complete = False
        self.is_evicted = False
        self.waiting: asyncio.Timeout | None = None
        """Limits the wait for the next piece, so that an eviction ends it."""

    def add(self, size: int) -> None:
        """Count a piece of the body.

        Raises:
            Overloaded: There is no room for it.
        """
        if self.is_evicted:
            raise Overloaded
        self._budget.take_bytes(self, size)
        self.size += size

    def complete(self) -> None:
        """Take a place, as the body is complete.

        Raises:
            Overloaded: There is none.
            RateLimited: The caller has all the places that it may have.
        """
        self._budget.take_place(self)
        self.is_complete = True

    def is_slower_than(self, bytes_per_s: int, now: float) -> bool:
        """Whether the body arrives at a lower rate."""
        age = now - self._began
        return age >= GRACE_S and self.size < bytes_per_s * age

    def evict(self) -> None:
        """Abandon the body; a reader that waits for its next piece gets ``TimeoutError``."""
        self.is_evicted = True
        self._budget.release(self)
        if self.waiting is not None:
            self.waiting.reschedule(asyncio.get_running_loop().time())
