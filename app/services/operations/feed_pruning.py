"""Prunes the change feed behind its slowest reader, so that it does not grow for ever.

Readers are the processes with indexes, which say in their heartbeats how far they are, and the snapshots that a
process starts from. Where a snapshot stands is known to its machine alone. So each process saves its snapshots
again before they fall ``RENEW_BEHIND`` changes behind, and four times as many changes are kept. A snapshot that
is older than that, for instance of a machine that was switched off, is refused at the start, and the codes are
read from the database.
"""

from typing import Final

from app.services.index_sync.snapshots import RENEW_BEHIND
from app.store.engine import Database

KEPT_CHANGES: Final = 4 * RENEW_BEHIND
"""Changes that stay behind the slowest process."""
PRUNE_BATCH: Final = 10_000
"""Changes pruned in one write unit."""


class FeedPruning:
    """Prunes the feed of one database."""

    def __init__(self, database: Database, *, kept: int = KEPT_CHANGES) -> None:
        """Keep ``kept`` changes behind the slowest process."""
        self._database = database
        self._kept = kept

    async def prune(self) -> bool:
        """Prune one batch; returns whether more is due.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        async with self._database.write() as unit:
            latest = await unit.feed.latest()
            slowest = await unit.processes.slowest_change()
            reached = latest if slowest is None else min(slowest, latest)
            return await unit.feed.prune(reached - self._kept + 1, PRUNE_BATCH)
