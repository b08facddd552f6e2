"""Slow down callers that try keys."""

import asyncio
import math
from collections import OrderedDict
from typing import Final, TypeVar

from app.domain.errors import RateLimited
from app.services.access.rates import RateLimits

K = TypeVar("K")
V = TypeVar("V")

LIMIT_NAME: Final = "wrong-keys"
INTERVAL_S: Final = 0.2
"""Seconds between two keys of one address that are examined, once it has sent too many wrong ones."""
LONGEST_WAIT_S: Final = 3.0
"""Longest wait for one's turn, in seconds."""
MAX_ADDRESSES: Final = 10_000
"""Most entries that are remembered of either kind."""


class KeyGuesses:
    """Delays the answers to addresses that send many wrong keys.

    A key that was used from the same address before is not delayed, so that others behind a shared address can
    continue. A valid key that is new there is delayed like wrong ones; an immediate answer would distinguish
    them.
    """

    def __init__(self, rates: RateLimits, *, max_per_minute: int) -> None:
        """Allow each address some wrong keys a minute; 0 for any number."""
        self._rates = rates
        self._max_per_minute = max_per_minute
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._next_turn: OrderedDict[str, float] = OrderedDict()

    async def failed(self, address: str) -> None:
        """Count a wrong key.

        Raises:
            RateLimited: The address has sent too many; this error reveals nothing about the key.
        """
        rate = await self._rates.take(LIMIT_NAME, self._max_per_minute, address)
        if rate.is_exceeded:
            await self._wait(address)

    async def succeeded(self, address: str, key_id: str) -> None:
        """Let a valid key through, after a wait where the address has sent too many wrong ones.

        Raises:
            RateLimited: As for ``failed``.
        """
        entry = (address, key_id)
        if entry not in self._known:
            rate = await self._rates.look(LIMIT_NAME, self._max_per_minute, address)
            if rate.is_exceeded:
                await self._wait(address)
        _remember(self._known, entry, None)

    async def _wait(self, address: str) -> None:
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next_turn.get(address, now)) + INTERVAL_S
        if turn - now > LONGEST_WAIT_S:
            raise RateLimited(
                "Too many wrong keys came from this address.", retry_after_s=math.ceil(LONGEST_WAIT_S)
            )
        _remember(self._next_turn, address, turn)
        await asyncio.sleep(turn - now)


def _remember(entries: OrderedDict[K, V], key: K, value: V) -> None:
    entries[key] = value
    entries.move_to_end(key)
    if len(entries) > MAX_ADDRESSES:
        entries.popitem(last=False)
