"""Limit what concurrent tasks take of something that each takes a different amount of."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class WeightedSemaphore:
    """A semaphore of which a task takes several units at once, in the order in which tasks ask."""

    def __init__(self, units: int) -> None:
        """Allow ``units`` units in use at the same time."""
        self._units = self._free = units
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def take(self, units: int) -> AsyncIterator[None]:
        """Wait for units and hold them.

        Raises:
            ValueError: There are never so many.
        """
        if units > self._units:
            raise ValueError(f"{units} units were asked for, and there are {self._units}")
        await self._acquire(units)
        try:
            yield
        finally:
            self._release(units)

    async def _acquire(self, units: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((units, turn))
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The units were given just before the cancellation.
                self._release(units)
            else:
                # It may have been the first, before others that need less.
                self._hand_out()
            raise

    def _release(self, units: int) -> None:
        self._free += units
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting:
            units, turn = self._waiting[0]
            if not turn.done():
                if units > self._free:
                    return
                self._free -= units
                turn.set_result(None)
            self._waiting.popleft()
