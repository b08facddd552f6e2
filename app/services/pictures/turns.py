"""Limit the number of concurrent tasks, and let queries go first."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from app.telemetry.metrics import DECODE_WAITING

RECENT_S: Final = 5.0
"""Seconds after a query for which a place is kept free for the next one."""
QUERIES_AHEAD: Final = 4
"""Number of queries that go ahead of waiting other work before it gets a turn, so that it never starves."""


class Turns:
    """A semaphore with two queues; queries go before other work, at most four of them in a row.

    While queries arrive, other work leaves one of several places free for them.
    """

    def __init__(self, places: int) -> None:
        """Allow ``places`` concurrent tasks."""
        self._places = places
        self._free = places
        self._last_query = -math.inf
        self._gone_ahead = 0
        """Number of queries that went ahead of other work that was waiting."""
        self._queries: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def take(self, *, is_query: bool) -> AsyncIterator[None]:
        """Wait for a place and hold it."""
        if is_query:
            self._last_query = asyncio.get_running_loop().time()
        await self._acquire(self._queries if is_query else self._others)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, queue: deque[asyncio.Future[None]]) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        self._hand_out()
        waiting = DECODE_WAITING.labels("query" if queue is self._queries else "addition")
        try:
            with waiting.track_inprogress():
                await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The place was given just before the cancellation.
                self._release()
            raise

    def _release(self) -> None:
        self._free += 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free:
            if self._gone_ahead >= QUERIES_AHEAD and self._give(self._others):
                self._gone_ahead = 0
            elif self._give(self._queries):
                self._gone_ahead += bool(self._others)
            elif self._free <= self._kept or not self._give(self._others):
                return

    @property
    def _kept(self) -> int:
        """Number of places that other work leaves free."""
        is_recent = asyncio.get_running_loop().time() - self._last_query < RECENT_S
        return 1 if is_recent and self._places > 1 else 0

    def _give(self, queue: deque[asyncio.Future[None]]) -> bool:
        """Give a place to the first in a queue; return False if the queue is empty."""
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                self._free -= 1
                return True
        return False
