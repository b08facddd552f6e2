"""Limit the number of concurrent tasks, with a place that other work never takes from queries."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from app.telemetry.metrics import DECODE_WAITING

RECENT_S: Final = 5.0
"""Seconds after a query for which other work keeps to one place less."""


@dataclass(slots=True)
class _Kind:
    """Tasks of one kind: queries, or other work."""

    running: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Turns:
    """A semaphore for queries and other work; neither kind can take all places.

    There is one place more than each kind may hold, so a query never waits for other work alone, and other work
    never starves. Waiting queries go first, and while queries arrive, other work keeps to one place less.
    """

    def __init__(self, places: int) -> None:
        """Allow ``places`` concurrent tasks of each kind, and ``places + 1`` of both together."""
        self._places = places
        self._last_query = -math.inf
        self._queries = _Kind()
        self._others = _Kind()

    @asynccontextmanager
    async def take(self, *, is_query: bool) -> AsyncIterator[None]:
        """Wait for a place and hold it."""
        if is_query:
            self._last_query = asyncio.get_running_loop().time()
        kind = self._queries if is_query else self._others
        await self._acquire(kind)
        try:
            yield
        finally:
            self._release(kind)

    async def _acquire(self, kind: _Kind) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        kind.waiting.append(turn)
        self._hand_out()
        waiting = DECODE_WAITING.labels("query" if kind is self._queries else "addition")
        try:
            with waiting.track_inprogress():
                await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The place was given just before the cancellation.
                self._release(kind)
            raise

    def _release(self, kind: _Kind) -> None:
        kind.running -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        for kind in (self._queries, self._others):
            while kind.waiting and self._has_place(kind):
                turn = kind.waiting.popleft()
                if not turn.done():
                    turn.set_result(None)
                    kind.running += 1

    def _has_place(self, kind: _Kind) -> bool:
        is_recent = asyncio.get_running_loop().time() - self._last_query < RECENT_S
        is_reduced = kind is self._others and is_recent and self._places > 1
        return (
            kind.running < self._places - is_reduced
            and self._queries.running + self._others.running <= self._places
        )
