"""Prune the change feed behind its slowest reader, so that it does not grow without bound.

Readers are the processes with indexes, whose heartbeats report how far they have read, and the snapshots that
processes start from. Only its own machine knows the version of a snapshot. Therefore each process saves its
snapshots again before they are ``MAX_CHANGES_BEHIND`` changes behind, and the feed keeps four times as many
changes. A start refuses an older snapshot, for instance of a machine that was switched off, and reads the codes
from the database.
"""

from typing import Final

from app.services.index_sync.snapshots import MAX_CHANGES_BEHIND
from app.store.engine import Database

KEPT_CHANGES: Final = 4 * MAX_CHANGES_BEHIND
"""Number of changes to keep behind the slowest process."""
PRUNE_BATCH: Final = 10_000
"""Changes pruned in one write unit."""


class FeedPruning:
    """Prune the feed of one database."""

    def __init__(self, database: Database, *, kept: int = KEPT_CHANGES) -> None:
        """Keep ``kept`` changes behind the slowest process."""
        self._database = database
        self._kept = kept

    async def prune(self) -> bool:
        """Prune one batch; return whether more changes are due.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        async with self._database.write() as unit:
            latest = await unit.feed.latest()
            slowest = await unit.processes.slowest_change()
            reached = latest if slowest is None else min(slowest, latest)
            return await unit.feed.prune(reached - self._kept + 1, PRUNE_BATCH)
