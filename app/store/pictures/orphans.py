"""Orphans: picture files that no row refers to.

A file is not deleted with its last row, because a request may be adding the same bytes again. It is listed
here, and a sweeper deletes it after a grace period far longer than a request.

A sweep removes the file from the list, deletes it from the picture store and commits, in one write unit. An
addition stores the bytes, commits the row, then checks that the bytes still exist and stores them again if
not. Write units are serialized, so an addition that overlaps a sweep commits after it and notices the deletion.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.driver.batches import in_batches
from app.store.schema.tables import backups, images, orphans


class OrphanLog:
    """Adds files to the list of orphans and removes them."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    async def note(self, sha256s: Sequence[str]) -> None:
        """List those files that no picture keeps."""
        for batch in in_batches(sorted(set(sha256s))):
            kept = sa.select(images.c.sha256).where(images.c.sha256.in_(batch), images.c.has_bytes)
            in_use = set(await self._connection.scalars(kept.distinct()))
            rows = [{"sha256": sha256, "since": self._now} for sha256 in batch if sha256 not in in_use]
            await self.rescue(batch)
            if rows:
                await self._connection.execute(sa.insert(orphans), rows)

    async def rescue(self, sha256s: Sequence[str]) -> None:
        """Remove files from the list because a picture keeps them again."""
        for batch in in_batches(sha256s):
            await self._connection.execute(sa.delete(orphans).where(orphans.c.sha256.in_(batch)))

    async def take(self, before: datetime, limit: int) -> list[str]:
        """Remove the oldest files orphaned before that time from the list, and return them.

        Callers delete them from the picture store before this unit commits (see the module docstring).
        """
        # A backup may need any file that was in use when the oldest backup was made.
        oldest_backup = sa.select(sa.func.min(backups.c.created_at)).scalar_subquery()
        is_free = sa.or_(oldest_backup.is_(None), orphans.c.since < oldest_backup)
        query = sa.select(orphans.c.sha256).where(orphans.c.since < before, is_free).order_by(orphans.c.since)
        expired = list(await self._connection.scalars(query.limit(limit)))
        await self.rescue(expired)
        return expired
