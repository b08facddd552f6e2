"""Change numbers: allocated in commit order, one feed row per change.

The counter is one row, and a write unit holds its lock until it commits, so numbers become visible in
ascending order. A sequence does not guarantee that: a poller that asks for rows above the highest number it
saw would miss a row that commits late (observed on Postgres). SQLite serializes writers anyway.
"""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.changes import ChangeKind
from app.domain.images import ImageRecord
from app.store.schema.tables import change_counter, changes


async def wait_for_turn(connection: AsyncConnection) -> None:
    """Wait until no other unit writes. On SQLite, ``BEGIN IMMEDIATE`` has done so already."""
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(change_counter.c.value).with_for_update())


class ChangeLog:
    """Allocates the change numbers of one write unit and writes its feed rows."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.last = 0
        """The highest number that this unit took; 0 if it took none."""

    async def take(self, count: int) -> range:
        """Take the next ``count`` numbers."""
        advance = (
            sa.update(change_counter)
            .values(value=change_counter.c.value + count)
            .returning(change_counter.c.value)
        )
        self.last = (await self._connection.execute(advance)).scalar_one()
        return range(self.last - count + 1, self.last + 1)

    async def take_one(self) -> int:
        """Take the next number."""
        return (await self.take(1))[0]

    async def record_images(self, kind: ChangeKind, entries: Iterable[tuple[int, ImageRecord]]) -> None:
        """Write one feed entry per picture, given as (change number, picture)."""
        rows = [
            {"change": change, "kind": kind, "collection_pk": image.collection_pk, "number": image.number}
            for change, image in entries
        ]
        if rows:
            await self._connection.execute(sa.insert(changes), rows)

    async def record(
        self,
        kind: ChangeKind,
        change: int,
        *,
        collection_pk: int | None = None,
        number: int | None = None,
        model: str | None = None,
    ) -> None:
        """Write one feed entry under a change number taken before."""
        subject = {"collection_pk": collection_pk, "number": number, "model": model}
        await self._connection.execute(sa.insert(changes).values({"change": change, "kind": kind} | subject))
