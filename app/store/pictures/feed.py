"""The change feed, which a process reads to keep its indexes up to date."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.changes import Change, ChangeKind
from app.store.schema.tables import change_counter, changes


class FeedPruned(Exception):
    """The feed no longer contains the requested changes; the caller must reload."""


class FeedReader:
    """Reads the change feed."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def latest(self) -> int:
        """Return the highest committed change number; 0 in a new database."""
        value: int = (await self._connection.execute(sa.select(change_counter.c.value))).scalar_one()
        return value

    async def since(self, change: int, limit: int = 10_000) -> list[Change]:
        """Return the next changes after number ``change``, in order.

        Raises:
            FeedPruned: Some of them have been pruned.
        """
        latest, pruned = await self._latest_and_pruned()
        if change < pruned:
            raise FeedPruned(
                f"the feed starts after change {pruned}, but changes after {change} were requested"
            )
        if change >= latest:
            return []  # the usual result of a poll
        query = sa.select(changes).where(changes.c.change > change).order_by(changes.c.change).limit(limit)
        return [
            Change(row.change, ChangeKind(row.kind), row.collection_pk, row.number, row.model)
            for row in await self._connection.execute(query)
        ]

    async def has_pictures_since(self, collection_pk: int, change: int) -> bool:
        """Return whether pictures of a collection have changed after number ``change``.

        Raises:
            FeedPruned: Some of the changes have been pruned.
        """
        _, pruned = await self._latest_and_pruned()
        if change < pruned:
            raise FeedPruned(
                f"the feed starts after change {pruned}, but changes after {change} were requested"
            )
        of_pictures = sa.select(changes.c.change).where(
            changes.c.change > change, changes.c.collection_pk == collection_pk, changes.c.number.is_not(None)
        )
        found: bool = (await self._connection.execute(sa.select(of_pictures.exists()))).scalar_one()
        return found

    async def _latest_and_pruned(self) -> tuple[int, int]:
        query = sa.select(change_counter.c.value, change_counter.c.pruned)
        latest, pruned = (await self._connection.execute(query)).one()
        return latest, pruned


class FeedWriter(FeedReader):
    """Reads and prunes the change feed."""

    async def prune(self, before: int, limit: int = 10_000) -> bool:
        """Delete changes below number ``before``, oldest first.

        Prune only changes that every reader has applied: a process or snapshot further behind must reload
        everything.

        Args:
            before: The first number to keep.
            limit: Maximum count of numbers to prune.

        Returns:
            Whether changes below ``before`` remain.
        """
        latest, pruned = await self._latest_and_pruned()
        target = min(before - 1, latest)
        if target <= pruned:
            return False
        last_pruned = min(target, pruned + limit)
        await self._connection.execute(sa.update(change_counter).values(pruned=last_pruned))
        await self._connection.execute(sa.delete(changes).where(changes.c.change <= last_pruned))
        return last_pruned < target
