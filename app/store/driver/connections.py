"""Connection pools: pragmas for SQLite, timeouts for Postgres."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.store.driver.sqlite_cursors import OneTurnContext
from app.store.driver.statement_readers import PostgresReader, SqliteReader, StatementReader

CONNECT_TIMEOUT_S: Final = 5
POSTGRES_WRITERS: Final = 2
"""Writing connections of one process."""
READER_CACHE_KIB: Final = 2_048
"""Page cache of a reader. Every commit of another connection empties it, and the operating system caches the
file anyway: eight times as much sped up no look-up, but let a worker's memory grow with the database."""
WRITER_CACHE_KIB: Final = 8_192
"""Page cache of the writer; larger batches spill pages to the log before the commit."""
WITHOUT_TRANSACTION: Final = "without_transaction"
"""Execution option of connections that run each statement outside a transaction."""
WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024

# No escapes and no sorting: metadata may be in any language and keeps the caller's key order.
_to_json: Final = partial(json.dumps, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of the database."""

    busy_s: float
    """Wait for a lock or for a free connection."""
    statement_s: float
    """Duration of one statement (Postgres)."""
    idle_in_transaction_s: float
    """Pause between two statements of a transaction (Postgres), so that a frozen process frees the counter."""


@dataclass(frozen=True, slots=True)
class Engines:
    """Engines for reads and for writes, each with its own pool."""

    readers: AsyncEngine
    writers: AsyncEngine
    statements: StatementReader
    """Runs single statements, each outside a transaction."""

    async def dispose(self) -> None:
        """Close every connection."""
        await self.readers.dispose()
        await self.writers.dispose()


def parse_url(url: str, *, asynchronous: bool) -> sa.URL:
    """Parse ``sqlite:///…`` or ``postgresql://…`` and set the driver that this project uses.

    Raises:
        ValueError: The URL names another database, or SQLite in memory, which connections cannot share.
    """
    parsed = sa.make_url(url)
    backend = parsed.drivername.partition("+")[0]
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise ValueError(f"the database is sqlite:///FILE or postgresql://…; got {backend}")
    if parsed.database in {None, "", ":memory:"}:
        raise ValueError("SQLite needs a file: sqlite:///FILE")
    return parsed.set(drivername="sqlite+aiosqlite" if asynchronous else "sqlite+pysqlite")


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite database, or None for Postgres.

    Raises:
        ValueError: The URL names another database, or SQLite in memory.
    """
    parsed = parse_url(url, asynchronous=False)
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database
    return Path(parsed.database) if is_file and parsed.database else None


def open_engines(url: str, *, sqlite_synchronous: str, pool_size: int, timeouts: Timeouts) -> Engines:
    """Create the pools without connecting.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://…``.
        sqlite_synchronous: ``FULL`` (an acknowledged write survives a power cut), ``NORMAL`` or ``OFF``.
        pool_size: Number of concurrent reading connections.
        timeouts: Time limits.

    Raises:
        ValueError: ``url`` or ``sqlite_synchronous`` is not one of these.
    """
    parsed = parse_url(url, asynchronous=True)
    if parsed.get_backend_name() == "postgresql":
        return _postgres(parsed, pool_size, timeouts)
    if sqlite_synchronous not in {"FULL", "NORMAL", "OFF"}:
        raise ValueError(f"synchronous is FULL, NORMAL or OFF; got {sqlite_synchronous}")
    reading = {"query_only": "ON", "cache_size": f"-{READER_CACHE_KIB}"}
    return Engines(
        readers=_sqlite(parsed, pool_size, timeouts, "BEGIN", reading),
        statements=SqliteReader(
            Path(parsed.database or ""), threads=pool_size, busy_s=timeouts.busy_s, pragmas=reading
        ),
        # One writer per process: the pool's queue is fair, while SQLite's busy timeout polls.
        writers=_sqlite(
            parsed,
            1,
            timeouts,
            "BEGIN IMMEDIATE",
            {
                "journal_mode": "WAL",
                "synchronous": sqlite_synchronous,
                "foreign_keys": "ON",
                "cache_size": f"-{WRITER_CACHE_KIB}",
            },
        ),
    )


def _sqlite(
    url: sa.URL, pool_size: int, timeouts: Timeouts, begin: str, pragmas: dict[str, str]
) -> AsyncEngine:
    engine = create_async_engine(
        # The migration has created the file; a connection must not create another one in its place.
        url.set(database=Path(url.database or "").absolute().as_uri()).update_query_dict(
            {"mode": "rw", "uri": "true"}
        ),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeouts.busy_s,
        # Every use ends in an explicit commit or rollback; a second one costs two round trips to the thread.
        pool_reset_on_return=None,
        # The driver's own BEGIN is deferred: a transaction that starts with a read cannot always become a
        # writer, regardless of the busy timeout (SQLITE_BUSY_SNAPSHOT).
        connect_args={"timeout": timeouts.busy_s, "isolation_level": None},
        json_serializer=_to_json,
    )
    engine.dialect.execution_ctx_cls = OneTurnContext

    @sa.event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for name, value in (pragmas | {"journal_size_limit": str(WAL_LIMIT_BYTES)}).items():
            cursor.execute(f"PRAGMA {name} = {value}")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: sa.Connection) -> None:
        if not connection.get_execution_options().get(WITHOUT_TRANSACTION):
            connection.exec_driver_sql(begin)

    @sa.event.listens_for(engine.sync_engine, "invalidate")
    def end_transaction(connection: Any, _record: object, _error: object) -> None:
        # A statement was cancelled, and its connection is about to be closed. SQLite keeps it open while a
        # cursor exists, and the cancelled task's traceback holds one: the write lock would remain.
        connection.rollback()

    return engine


def _postgres(url: sa.URL, pool_size: int, timeouts: Timeouts) -> Engines:
    settings = {
        "statement_timeout": timeouts.statement_s,
        "lock_timeout": timeouts.busy_s,
        "idle_in_transaction_session_timeout": timeouts.idle_in_transaction_s,
    }
    options = " ".join(f"-c {name}={round(seconds * 1000)}" for name, seconds in settings.items())
    url_options = url.query.get("options", "")

    def pool(size: int) -> AsyncEngine:
        engine = create_async_engine(
            url.difference_update_query(["options"]),
            pool_size=size,
            max_overflow=0,
            pool_timeout=timeouts.busy_s,
            # A restarted server leaves dead connections in the pool; the ping costs a tenth of a millisecond.
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "options": f"{options} {url_options}".strip()},
            json_serializer=_to_json,
        )
        # Insert many rows with one statement, not through the driver's pipeline: that ends with a Flush
        # message, which stops the server's idle-in-transaction timer. A process frozen then would block writers
        # for ever.
        engine.dialect.use_insertmanyvalues_wo_returning = True
        return engine

    readers = pool(pool_size)
    return Engines(
        readers=readers.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True),
        # Writers take turns anyway; in a pool of their own they do not take the readers' connections meanwhile.
        writers=pool(POSTGRES_WRITERS).execution_options(isolation_level="READ COMMITTED"),
        statements=PostgresReader(readers.execution_options(isolation_level="AUTOCOMMIT")),
    )
