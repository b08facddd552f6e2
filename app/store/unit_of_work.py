"""Units of work: a read transaction of one moment, and a write transaction."""

from datetime import datetime
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.backups import Backups, WritableBackups
from app.store.changes import ChangeLog, wait_for_turn
from app.store.clock import read_clock
from app.store.collections import Collections, WritableCollections
from app.store.coverage import Coverage, WritableCoverage
from app.store.feed import Feed, WritableFeed
from app.store.idempotency import Idempotency
from app.store.image_writes import WritableImages
from app.store.images import Images
from app.store.jobs import Jobs, WritableJobs
from app.store.keys import Keys, WritableKeys
from app.store.leases import Heartbeats, Leases
from app.store.models import Models, WritableModels
from app.store.orphans import OrphanLog
from app.store.processes import Processes, WritableProcesses
from app.store.secrets import Secrets, WritableSecrets


class ReadUnit:
    """One read transaction: everything read through it is of one moment."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.images = Images(connection)
        self.collections = Collections(connection)
        self.backups = Backups(connection)
        self.coverage = Coverage(connection)
        self.models = Models(connection)
        self.keys = Keys(connection)
        self.feed = Feed(connection)
        self.secrets = Secrets(connection)
        self.jobs = Jobs(connection)
        self.processes = Processes(connection)


class WriteUnit:
    """One transaction. Everything written through it is kept, or nothing."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        orphans = OrphanLog(connection, now)
        self.now = now
        """The time that everything written here bears."""
        self._log = ChangeLog(connection)
        self.images = WritableImages(connection, self._log, orphans, now)
        self.collections = WritableCollections(connection, self._log, orphans, now)
        self.backups = WritableBackups(connection, orphans, now)
        self.coverage = WritableCoverage(connection, self._log)
        self.models = WritableModels(connection, self._log, now)
        self.keys = WritableKeys(connection, self._log, now)
        self.feed = WritableFeed(connection)
        self.idempotency = Idempotency(connection, now)
        self.secrets = WritableSecrets(connection, now)
        self.jobs = WritableJobs(connection, now)
        self.leases = Leases(connection, now)
        self.processes = WritableProcesses(connection, now)

    @classmethod
    async def begin(cls, connection: AsyncConnection) -> Self:
        """Wait for this unit's turn among all writers, then start it."""
        await wait_for_turn(connection)
        return cls(connection, await read_clock(connection))

    @property
    def last_change(self) -> int:
        """The highest change number that this unit took, 0 for none: what an index must catch up to."""
        return self._log.last


class SignOfLife:
    """A unit for heartbeats. It waits for no turn, so that a long write makes no living process look dead."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self.leases = Heartbeats(connection, now)
        self.processes = WritableProcesses(connection, now)

    @classmethod
    async def begin(cls, connection: AsyncConnection) -> Self:
        """Start the unit."""
        return cls(connection, await read_clock(connection))
