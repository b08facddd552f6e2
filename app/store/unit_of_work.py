"""Units of work: a read transaction on one snapshot, and a write transaction."""

from datetime import datetime
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.access.idempotency import IdempotentAnswers
from app.store.access.keys import KeyReader, KeyWriter
from app.store.access.secrets import SecretReader, SecretWriter
from app.store.backups import BackupReader, BackupWriter
from app.store.jobs.job_statistics import JobStatisticsReader
from app.store.jobs.jobs import JobReader, JobWriter
from app.store.jobs.leases import LeaseHeartbeats, LeaseWriter
from app.store.jobs.processes import ProcessReader, ProcessWriter
from app.store.jobs.task_leases import TaskLeases
from app.store.pictures.changes import ChangeLog, wait_for_turn
from app.store.pictures.collections import CollectionReader, CollectionWriter
from app.store.pictures.coverage import CoverageReader, CoverageWriter
from app.store.pictures.feed import FeedReader, FeedWriter
from app.store.pictures.image_writes import ImageWriter
from app.store.pictures.images import ImageReader
from app.store.pictures.learned_words import LearnedWordReader, LearnedWordWriter
from app.store.pictures.metadata_keys import MetadataReader
from app.store.pictures.models import ModelReader, ModelWriter
from app.store.pictures.orphans import OrphanLog
from app.store.pictures.verdicts import VerdictReader, VerdictWriter
from app.store.schema.clock import read_clock


class ReadUnit:
    """One read transaction; all its repositories see the same snapshot."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.images = ImageReader(connection)
        self.collections = CollectionReader(connection)
        self.backups = BackupReader(connection)
        self.coverage = CoverageReader(connection)
        self.metadata = MetadataReader(connection)
        self.learned_words = LearnedWordReader(connection)
        self.models = ModelReader(connection)
        self.keys = KeyReader(connection)
        self.feed = FeedReader(connection)
        self.secrets = SecretReader(connection)
        self.jobs = JobReader(connection)
        self.job_statistics = JobStatisticsReader(connection)
        self.processes = ProcessReader(connection)
        self.verdicts = VerdictReader(connection)


class WriteUnit:
    """One write transaction over all repositories."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        orphans = OrphanLog(connection, now)
        self.now = now
        """Timestamp of everything that this unit writes."""
        self._log = ChangeLog(connection)
        self.images = ImageWriter(connection, self._log, orphans, now)
        self.collections = CollectionWriter(connection, self._log, orphans, now)
        self.backups = BackupWriter(connection, orphans, now)
        self.coverage = CoverageWriter(connection, self._log)
        self.models = ModelWriter(connection, self._log, now)
        self.keys = KeyWriter(connection, self._log, now)
        self.learned_words = LearnedWordWriter(connection)
        self.feed = FeedWriter(connection)
        self.idempotency = IdempotentAnswers(connection, now)
        self.secrets = SecretWriter(connection, now)
        self.jobs = JobWriter(connection, now)
        self.leases = LeaseWriter(connection, now)
        self.processes = ProcessWriter(connection, now)
        self.verdicts = VerdictWriter(connection)
        self.task_leases = TaskLeases(connection, now)

    @classmethod
    async def begin(cls, connection: AsyncConnection) -> Self:
        """Wait until no other unit writes, then start the unit."""
        await wait_for_turn(connection)
        return cls(connection, await read_clock(connection))

    @property
    def last_change(self) -> int:
        """The highest change number that this unit took; 0 for none. Indexes must catch up to it."""
        return self._log.last


class SignOfLife:
    """A unit for heartbeats. It does not wait for other units, so a long write never delays a heartbeat."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self.leases = LeaseHeartbeats(connection, now)
        self.idempotency = IdempotentAnswers(connection, now)
        self.processes = ProcessWriter(connection, now)

    @classmethod
    async def begin(cls, connection: AsyncConnection) -> Self:
        """Start the unit."""
        return cls(connection, await read_clock(connection))
