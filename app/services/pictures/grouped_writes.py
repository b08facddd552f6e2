"""Write the pictures of requests that wait for the same turn in one transaction."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.domain.duplicates import OnDuplicate
from app.domain.errors import StorageFull, Unavailable, UnknownCollection
from app.services.pictures.preparing import ImageOutcome, PreparedImage, write_prepared
from app.store.engine import Database

MAX_PICTURES: Final = 128
"""Most pictures in one transaction, unless a single request has more."""

_Key = tuple[int, OnDuplicate]
_FAILS_ALL = (StorageFull, Unavailable, UnknownCollection)


@dataclass(frozen=True, slots=True)
class Written:
    """The result of writing the pictures of one request."""

    outcomes: list[ImageOutcome]
    change: int
    """Highest change number of the transaction."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    prepared: Sequence[PreparedImage | ImageOutcome]
    written: asyncio.Future[Written]


class GroupedWrites:
    """Writes prepared pictures, those of several requests together.

    Write units take turns, and each costs several statements and a synced commit. Requests that arrive while a
    unit waits for its turn join it, so that the queue grows shorter under load.
    """

    def __init__(self, database: Database) -> None:
        """Write to ``database``."""
        self._database = database
        self._waiting: defaultdict[_Key, deque[_Waiting]] = defaultdict(deque)
        self._tasks: dict[_Key, asyncio.Task[None]] = {}

    async def write(
        self, collection_pk: int, prepared: Sequence[PreparedImage | ImageOutcome], on_duplicate: OnDuplicate
    ) -> Written:
        """Write the pictures of one request; once it returns, they are durable.

        If the caller is cancelled before its turn, nothing is written.

        Raises:
            ModelMismatch: The collection's model has changed since the pictures were prepared.
            UnknownCollection: The collection was deleted.
            StorageFull: The disk is full.
            DatabaseUnavailable: The database does not answer.
        """
        key = (collection_pk, on_duplicate)
        entry = _Waiting(prepared, asyncio.get_running_loop().create_future())
        self._waiting[key].append(entry)
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._write_waiting(key))
        return await entry.written

    async def _write_waiting(self, key: _Key) -> None:
        try:
            while self._waiting[key]:
                await self._write_group(key)
        finally:
            # No other task runs between the last look at the queue and this.
            del self._tasks[key]
            del self._waiting[key]

    async def _write_group(self, key: _Key) -> None:
        """Write the requests that wait once it is this unit's turn."""
        group: list[_Waiting] = []
        try:
            async with self._database.write() as unit:
                group = self._next_group(key)
                outcomes = await write_prepared(
                    unit, key[0], [one for e in group for one in e.prepared], key[1]
                )
        except Exception as error:  # noqa: BLE001 - the callers raise it
            if len(group) > 1 and not isinstance(error, _FAILS_ALL):
                # One request's pictures caused it.
                await self._write_each(key, group)
            else:
                # Without a turn, nobody in the queue has one.
                _fail(group or self._next_group(key), error)
        else:
            at = 0
            for entry in group:
                own = outcomes[at : at + len(entry.prepared)]
                at += len(entry.prepared)
                if not entry.written.done():
                    entry.written.set_result(Written(own, unit.last_change))

    async def _write_each(self, key: _Key, group: Sequence[_Waiting]) -> None:
        """Write each request alone, until a failure that the others would share."""
        for i, entry in enumerate(group):
            try:
                async with self._database.write() as unit:
                    if entry.written.done():
                        continue  # its caller was cancelled meanwhile
                    outcomes = await write_prepared(unit, key[0], entry.prepared, key[1])
            except _FAILS_ALL as error:
                _fail(group[i:], error)
                return
            except Exception as error:  # noqa: BLE001 - the caller raises it
                _fail([entry], error)
            else:
                if not entry.written.done():
                    entry.written.set_result(Written(outcomes, unit.last_change))

    def _next_group(self, key: _Key) -> list[_Waiting]:
        """Take the requests that wait, up to a number of pictures; leave out those that were cancelled.

        Requests about the same picture are written one after the other, so that each sees the other's outcome.
        """
        queue = self._waiting[key]
        group: list[_Waiting] = []
        ids: set[str] = set()
        size = 0
        while queue:
            entry = queue[0]
            own_ids = {one.image.image_id for one in entry.prepared if isinstance(one, PreparedImage)}
            if group and (size + len(entry.prepared) > MAX_PICTURES or ids & own_ids):
                break
            queue.popleft()
            if not entry.written.done():
                group.append(entry)
                ids |= own_ids
                size += len(entry.prepared)
        return group


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for entry in group:
        if not entry.written.done():
            entry.written.set_exception(error)
