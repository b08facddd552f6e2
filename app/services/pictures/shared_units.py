"""Write the items of requests that wait for the same turn in one write unit."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from app.domain.errors import StorageFull, Unavailable, UnknownCollection
from app.store.unit_of_work import WriteUnit

K = TypeVar("K", bound=Hashable)
I = TypeVar("I")  # noqa: E741 - an item
O = TypeVar("O")  # noqa: E741 - its outcome

MAX_ITEMS: Final = 128
"""Most items in one unit, unless a single request has more."""

_FAILS_ALL = (StorageFull, Unavailable, UnknownCollection)


@dataclass(frozen=True, slots=True)
class Written(Generic[O]):
    """The result of writing the items of one request."""

    outcomes: list[O]
    change: int
    """Highest change number of the transaction."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[I, O]):
    items: Sequence[I]
    written: asyncio.Future[Written[O]]


class SharedUnits(Generic[K, I, O]):
    """Writes items, those of several requests together.

    Write units take turns, and each costs several statements and a synced commit. Requests that arrive while a
    unit waits for its turn join it, so that the queue grows shorter under load.
    """

    def __init__(
        self,
        open_unit: Callable[[], AbstractAsyncContextManager[WriteUnit]],
        write: Callable[[WriteUnit, K, Sequence[I]], Awaitable[list[O]]],
        *,
        id_of: Callable[[I], str | None],
    ) -> None:
        """Write with ``write`` in units of ``open_unit``.

        Args:
            open_unit: Waits for a turn and opens a unit.
            write: Writes items that have the same key; returns one outcome each, in order.
            id_of: Returns the id of an item's picture, if it has one. Requests about the same picture are
                written one after the other, so that each sees the other's outcome.
        """
        self._open_unit = open_unit
        self._write = write
        self._id_of = id_of
        self._waiting: defaultdict[K, deque[_Waiting[I, O]]] = defaultdict(deque)
        self._tasks: dict[K, asyncio.Task[None]] = {}

    async def write(self, key: K, items: Sequence[I]) -> Written[O]:
        """Write the items of one request; once it returns, they are durable.

        If the caller is cancelled before its turn, nothing is written.

        Args:
            key: What a unit has in common; requests with other keys are written in other units.
            items: The items.

        Raises:
            LookalikeError: As ``write`` and ``open_unit`` raise it; nothing of this request is written then.
        """
        entry: _Waiting[I, O] = _Waiting(items, asyncio.get_running_loop().create_future())
        self._waiting[key].append(entry)
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._write_waiting(key))
        return await entry.written

    async def _write_waiting(self, key: K) -> None:
        try:
            while self._waiting[key]:
                await self._write_group(key)
        finally:
            # No other task runs between the last look at the queue and this.
            del self._tasks[key]
            del self._waiting[key]

    async def _write_group(self, key: K) -> None:
        """Write the requests that wait once it is this unit's turn."""
        group: list[_Waiting[I, O]] = []
        try:
            async with self._open_unit() as unit:
                group = self._next_group(key)
                outcomes = await self._write(unit, key, [item for entry in group for item in entry.items])
        except Exception as error:  # noqa: BLE001 - the callers raise it
            if len(group) > 1 and not isinstance(error, _FAILS_ALL):
                # One request's items caused it.
                await self._write_each(key, group)
            else:
                # Without a turn, nobody in the queue has one.
                _fail(group or self._next_group(key), error)
        else:
            at = 0
            for entry in group:
                own = outcomes[at : at + len(entry.items)]
                at += len(entry.items)
                if not entry.written.done():
                    entry.written.set_result(Written(own, unit.last_change))

    async def _write_each(self, key: K, group: Sequence[_Waiting[I, O]]) -> None:
        """Write each request alone, until a failure that the others would share."""
        for i, entry in enumerate(group):
            try:
                async with self._open_unit() as unit:
                    if entry.written.done():
                        continue  # its caller was cancelled meanwhile
                    outcomes = await self._write(unit, key, entry.items)
            except _FAILS_ALL as error:
                _fail(group[i:], error)
                return
            except Exception as error:  # noqa: BLE001 - the caller raises it
                _fail([entry], error)
            else:
                if not entry.written.done():
                    entry.written.set_result(Written(outcomes, unit.last_change))

    def _next_group(self, key: K) -> list[_Waiting[I, O]]:
        """Take the requests that wait, up to a number of items; leave out those that were cancelled."""
        queue = self._waiting[key]
        group: list[_Waiting[I, O]] = []
        ids: set[str] = set()
        size = 0
        while queue:
            entry = queue[0]
            own_ids = {name for item in entry.items if (name := self._id_of(item)) is not None}
            if group and (size + len(entry.items) > MAX_ITEMS or ids & own_ids):
                break
            queue.popleft()
            if not entry.written.done():
                group.append(entry)
                ids |= own_ids
                size += len(entry.items)
        return group


def _fail(group: Sequence[_Waiting[I, O]], error: Exception) -> None:
    for entry in group:
        if not entry.written.done():
            entry.written.set_exception(error)
