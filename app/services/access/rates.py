"""Limits of what one caller may ask for in a minute, counted in memory or in a store that processes share."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string

from app.telemetry.metrics import RATE_STORE_ERRORS

_log = structlog.get_logger()

WINDOW_S: Final = 60
MEMORY: Final = "memory://"
MAX_COUNTED: Final = 5_000
"""Most counts in memory; a further caller replaces the one that was counted longest ago."""
ANSWER_S: Final = 1.0
"""Longest wait for a store that processes share, in seconds."""
MAX_CONNECTIONS: Final = 32
"""Most connections of one process to a store that processes share; further questions wait for one."""
PAUSE_S: Final = 5.0
"""Seconds after a failure of the store during which it is not asked."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One limit as it stands for one caller."""

    name: str
    limit: int
    """Most in a minute."""
    remaining: int
    reset_s: int
    """Seconds until more is allowed."""
    is_exceeded: bool


class RateLimits:
    """Counts by caller over a sliding minute.

    A store that does not answer imposes no limits: its fault must not stop the service. One request tries it
    again after a pause, so that others do not wait for it.
    """

    def __init__(self, store_url: str = MEMORY) -> None:
        """Count in ``store_url``: ``memory://`` or ``redis://host:port``.

        Raises:
            ValueError: The store is unknown, or its client is not installed.
        """
        try:
            options = {} if store_url.startswith(MEMORY) else {"implementation": "redispy"}
            store = storage_from_string(f"async+{store_url}", wrap_exceptions=True, **options)
        except Exception as error:  # noqa: BLE001 - its text is raised
            # Some of these errors quote the address, which may contain a password.
            reason = str(error).replace(store_url, "its address")
            raise ValueError(f"the store of rates cannot be used: {reason}") from None
        self._limiter = SlidingWindowCounterRateLimiter(store)
        # The client opens a connection for each question that is asked at the same time, and keeps it.
        self._connections = asyncio.Semaphore(MAX_CONNECTIONS)
        self._is_bounded = store_url.startswith(MEMORY)
        self._counted: OrderedDict[tuple[str, int, str], None] = OrderedDict()
        self._is_failing = False
        self._ask_again_at = 0.0

    async def close(self) -> None:
        """Close the connections to a store that processes share."""
        bridge = getattr(self._limiter.storage, "bridge", None)
        clients = [getattr(bridge, name, None) for name in ("storage", "storage_replica")]
        for client in clients:
            if client is not None:
                # Whatever the client raises: it also closes the connections to a store that has failed.
                with suppress(Exception):
                    async with asyncio.timeout(ANSWER_S):
                        await client.aclose()

    async def take(self, name: str, limit: int, caller: str, amount: int = 1) -> Rate:
        """Count ``amount`` for a caller unless that exceeds the limit; a limit of 0 is none."""
        if limit == 0:
            return _unlimited(name)
        item = RateLimitItemPerMinute(limit)

        async def count() -> Rate:
            is_allowed = await self._limiter.hit(item, name, caller, cost=amount)
            await self._forget_oldest(name, item, caller)
            return await self._rate(name, item, caller, is_exceeded=not is_allowed)

        return await self._ask(name, count)

    async def look(self, name: str, limit: int, caller: str) -> Rate:
        """Return a limit as it stands, without counting."""
        if limit == 0:
            return _unlimited(name)
        item = RateLimitItemPerMinute(limit)
        if self._is_bounded and (name, limit, caller) not in self._counted:
            return Rate(name, limit, limit, WINDOW_S, is_exceeded=False)

        async def read() -> Rate:
            is_allowed = await self._limiter.test(item, name, caller)
            return await self._rate(name, item, caller, is_exceeded=not is_allowed)

        return await self._ask(name, read)

    async def charge(self, name: str, limit: int, caller: str, amount: int) -> None:
        """Count what has been used already; what exceeds the limit uses up all of it."""
        rate = await self.take(name, limit, caller, amount)
        if rate.is_exceeded and rate.remaining:
            await self.take(name, limit, caller, rate.remaining)

    async def _ask(self, name: str, question: Callable[[], Awaitable[Rate]]) -> Rate:
        """Return the store's answer, or no limit while the store fails."""
        now = time.monotonic()
        if self._is_failing:
            if now < self._ask_again_at:
                return _unlimited(name)
            self._ask_again_at = now + PAUSE_S
        try:
            if self._is_bounded:
                rate = await question()
            else:
                async with asyncio.timeout(ANSWER_S), self._connections:
                    rate = await question()
        except (StorageError, OSError) as error:  # TimeoutError is an OSError.
            RATE_STORE_ERRORS.inc()
            self._ask_again_at = time.monotonic() + PAUSE_S
            if not self._is_failing:
                # Once for each outage, without a traceback: every request would log one.
                self._is_failing = True
                _log.warning("rates_not_counted", detail=str(error) or f"no answer within {ANSWER_S:g} s")
            return _unlimited(name)
        if self._is_failing:
            self._is_failing = False
            _log.info("rates_counted_again")
        return rate

    async def _forget_oldest(self, name: str, item: RateLimitItemPerMinute, caller: str) -> None:
        """Bound the memory that many addresses take; a store that processes share expires its own entries."""
        if not self._is_bounded:
            return
        entry = (name, item.amount, caller)
        self._counted[entry] = None
        self._counted.move_to_end(entry)
        if len(self._counted) > MAX_COUNTED:
            (name, limit, caller), _ = self._counted.popitem(last=False)
            await self._limiter.clear(RateLimitItemPerMinute(limit), name, caller)

    async def _rate(self, name: str, item: RateLimitItemPerMinute, caller: str, *, is_exceeded: bool) -> Rate:
        stats = await self._limiter.get_window_stats(item, name, caller)
        reset_s = min(WINDOW_S, max(1, math.ceil(stats.reset_time - time.time())))
        return Rate(name, item.amount, stats.remaining, reset_s, is_exceeded)


def _unlimited(name: str) -> Rate:
    return Rate(name, 0, 0, 0, is_exceeded=False)
