"""Picture files that no row needs any more.

A file is not deleted with its last row, because the same bytes may be about to be added again. It is listed
here, and a sweeper deletes it after a grace period that is far longer than a request.

Order of a sweep: in one write unit, take the file off the list, delete it from the store, commit. Order of an
addition: put the bytes, commit the row, check that the bytes are still there and put them back if not. Write
units take turns, so an addition that overlaps a sweep commits after it, and its check finds what was deleted.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.batches import in_batches
from app.store.tables import backups, images, orphans


class OrphanLog:
    """Notes and ends orphans."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    async def note(self, sha256s: Sequence[str]) -> None:
        """Make orphans of those files that no picture keeps."""
        for batch in in_batches(sorted(set(sha256s))):
            kept = sa.select(images.c.sha256).where(images.c.sha256.in_(batch), images.c.has_bytes)
            in_use = set(await self._connection.scalars(kept.distinct()))
            rows = [{"sha256": sha256, "since": self._now} for sha256 in batch if sha256 not in in_use]
            await self.rescue(batch)
            if rows:
                await self._connection.execute(sa.insert(orphans), rows)

    async def rescue(self, sha256s: Sequence[str]) -> None:
        """A picture keeps these files again."""
        for batch in in_batches(sha256s):
            await self._connection.execute(sa.delete(orphans).where(orphans.c.sha256.in_(batch)))

    async def take(self, before: datetime, limit: int) -> list[str]:
        """Take the oldest files that were orphaned before that moment off the list.

        Delete them from the store before this unit commits (see the module's description).
        """
        # A backup may need any file that was in use when the oldest one was taken.
        oldest = sa.select(sa.func.min(backups.c.created_at)).scalar_subquery()
        is_free = sa.or_(oldest.is_(None), orphans.c.since < oldest)
        query = sa.select(orphans.c.sha256).where(orphans.c.since < before, is_free).order_by(orphans.c.since)
        due = list(await self._connection.scalars(query.limit(limit)))
        await self.rescue(due)
        return due
