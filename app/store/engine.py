"""The database: opens connections, provides units of work, and is the only place that commits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.domain.errors import StorageFull
from app.store.driver.connections import WITHOUT_TRANSACTION, Engines, Timeouts, open_engines, sqlite_file
from app.store.driver.faults import domain_faults
from app.store.driver.identity import FileIdentity
from app.store.driver.reserve import Reserve
from app.store.pictures.lookups import Lookups
from app.store.unit_of_work import ReadUnit, SignOfLife, WriteUnit


def describe_url(url: str) -> str:
    """Return a database URL for display, without the password and the parameters, which may contain secrets.

    Raises:
        ValueError: ``url`` is not a database URL.
    """
    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except ArgumentError as error:
        raise ValueError("the database URL must look like postgresql+psycopg://user@host/name") from error


class Database:
    """The service's database: SQLite or Postgres."""

    def __init__(self, engines: Engines, lookups: Lookups, reserve: Reserve, identity: FileIdentity) -> None:
        self._engines = engines
        self._identity = identity
        self._reserve = reserve
        self.lookups: Final = lookups
        """Fast look-ups for searches."""

    @classmethod
    def open(
        cls,
        url: str,
        *,
        sqlite_synchronous: str = "FULL",
        busy_timeout_s: float = 10.0,
        pool_size: int = 5,
        statement_timeout_s: float = 30.0,
        idle_in_transaction_timeout_s: float = 15.0,
    ) -> Self:
        """Prepare connections to a migrated database (see ``migrate.upgrade``); the first unit connects.

        Args:
            url: ``sqlite:///FILE`` or ``postgresql://…``.
            sqlite_synchronous: ``FULL``, ``NORMAL`` or ``OFF``; with ``FULL`` an acknowledged write survives a
                power cut.
            busy_timeout_s: Longest wait for another writer or for a free connection, in seconds.
            pool_size: Number of concurrent reading connections (Postgres: reading or writing).
            statement_timeout_s: Longest duration of one statement, in seconds (Postgres).
            idle_in_transaction_timeout_s: Longest pause between two statements of a transaction, in seconds
                (Postgres), so that a frozen process does not block every writer.

        Raises:
            ValueError: ``url`` names another kind of database, or SQLite in memory.
        """
        timeouts = Timeouts(busy_timeout_s, statement_timeout_s, idle_in_transaction_timeout_s)
        engines = open_engines(
            url, sqlite_synchronous=sqlite_synchronous, pool_size=pool_size, timeouts=timeouts
        )
        file = sqlite_file(url)
        return cls(
            engines,
            Lookups(engines.statements),
            Reserve(None if file is None else file.with_name(f"{file.name}.reserve")),
            FileIdentity(file),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self.lookups.close()
        await self._engines.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadUnit]:
        """Open a read transaction; all its reads see one snapshot.

        Raises:
            DatabaseUnavailable: The database is locked, shut down or unreachable, or every connection is busy.
        """
        with domain_faults():
            async with self._engines.readers.begin() as connection:
                yield ReadUnit(connection)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteUnit]:
        """Open a write transaction: commit at the end, roll back on any exception.

        Write units are serialized across processes, on both databases: what a unit has read stays true until
        it commits. So do nothing slow inside: no decoding, no encoding, no network.

        If the commit itself raises ``DatabaseUnavailable``, its outcome is unknown; writes must be safe to
        repeat.

        Raises:
            DatabaseUnavailable: As for ``read``.
            StorageFull: The disk under the database is full.
        """
        self._identity.check()
        with domain_faults():
            async with self._engines.writers.begin() as connection:
                yield await WriteUnit.begin(connection)
        # Once more: nobody is told of a write to a file that was removed meanwhile.
        self._identity.check()

    @asynccontextmanager
    async def freeing(self) -> AsyncIterator[WriteUnit]:
        """Open a write transaction for deletions, as ``write`` does; on a full disk, use the reserved space.

        Raises:
            DatabaseUnavailable: As for ``read``.
            StorageFull: The reserved space is not enough.
        """
        self._identity.check()
        if self._reserve.is_disk_low():
            await asyncio.to_thread(self._reserve.release)
            await self._truncate_log()
        try:
            async with self.write() as unit:
                yield unit
        finally:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._reserve.ensure)

    def check_identity(self) -> None:
        """Check that the database is the one that was opened; does nothing for Postgres.

        Raises:
            DatabaseUnavailable: The database file was removed or replaced.
        """
        self._identity.check()

    async def check_room(self) -> None:
        """Ensure, before pictures are added, that the space for deletions is reserved.

        Raises:
            StorageFull: The space cannot be reserved.
            DatabaseUnavailable: The database file was removed or replaced.
        """
        self._identity.check()
        if not await asyncio.to_thread(self._reserve.ensure):
            raise StorageFull("the disk under the database is full; delete pictures, or make the disk larger")

    async def _truncate_log(self) -> None:
        """Checkpoint and truncate SQLite's write-ahead log, as far as that works on a full disk."""
        writers = self._engines.writers.execution_options(**{WITHOUT_TRANSACTION: True})
        with contextlib.suppress(StorageFull), domain_faults():
            async with writers.connect() as connection:
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    @asynccontextmanager
    async def sign_of_life(self) -> AsyncIterator[SignOfLife]:
        """Open a unit for heartbeats. On SQLite it waits for other writers, on Postgres it does not.

        Raises:
            DatabaseUnavailable: As for ``read``.
        """
        self._identity.check()
        with domain_faults():
            async with self._engines.writers.begin() as connection:
                yield await SignOfLife.begin(connection)
