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

    async def prune(self, before: int, limit: int = 10_000) -> bool:
        """Forget changes below number ``before``, the oldest first.

        Only changes that every reader has applied may be pruned: a process or a snapshot that is further behind
        loads everything anew.

        Args:
            before: The first number to keep.
            limit: How many numbers to prune at most.

        Returns:
            Whether changes below ``before`` are left.
        """
        latest, pruned = (
            await self._connection.execute(sa.select(change_counter.c.value, change_counter.c.pruned))
        ).one()
        upto = min(before - 1, latest)
        if upto <= pruned:
            return False
        reached = min(upto, pruned + limit)
        await self._connection.execute(sa.update(change_counter).values(pruned=reached))
        await self._connection.execute(sa.delete(changes).where(changes.c.change <= reached))
        return bool(reached < upto)
