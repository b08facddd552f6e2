"""The change feed: what a process reads to keep its index in step with the database."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.records import Change, ChangeKind
from app.store.tables import change_counter, changes


class FeedPruned(Exception):
    """The feed no longer reaches back to the number asked for: load anew instead of following."""


class FeedReader:
    """Reads the feed."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def latest(self) -> int:
        """The highest change number committed; 0 in a new database."""
        value: int = (await self._connection.execute(sa.select(change_counter.c.value))).scalar_one()
        return value

    async def since(self, change: int, limit: int = 10_000) -> list[Change]:
        """The next changes after number ``change``, in order.

        Raises:
            FeedPruned: Some of them have been pruned.
        """
        latest, pruned = (
            await self._connection.execute(sa.select(change_counter.c.value, change_counter.c.pruned))
        ).one()
        if change < pruned:
            raise FeedPruned(f"the feed starts after change {pruned}; asked for what follows {change}")
        if change >= latest:
            return []  # what nearly every poll finds
        query = sa.select(changes).where(changes.c.change > change).order_by(changes.c.change).limit(limit)
        return [
            Change(row.change, ChangeKind(row.kind), row.collection_pk, row.number, row.model)
            for row in await self._connection.execute(query)
        ]


class FeedWriter(FeedReader):
    """Reads and prunes the feed."""

    async def prune(self, before: int) -> int:
        """Forget the changes below number ``before``; returns how many there were.

        Only what every reader has behind it may go: a process or a snapshot further behind loads anew.
        """
        before = min(before, await self.latest() + 1)
        mark = sa.update(change_counter).where(change_counter.c.pruned < before - 1).values(pruned=before - 1)
        await self._connection.execute(mark)
        pruned = await self._connection.execute(sa.delete(changes).where(changes.c.change < before))
        return pruned.rowcount
