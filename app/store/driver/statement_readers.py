"""Run single reading statements at the least cost: every search, and every look at a picture, waits for them.

SQLite answers such a statement in a hundredth of a millisecond. SQLAlchemy's asynchronous connections add half
a millisecond, with several switches between threads. So a statement is compiled once, and runs in one turn of a
thread.
"""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import DatabaseUnavailable
from app.store.driver.faults import RETRY_AFTER_S, domain_faults

Row = Sequence[Any]
Parameters = Mapping[str, Any]


class StatementReader(Protocol):
    """Runs single statements, each on its own snapshot."""

    def compiled(self, query: sa.SelectBase) -> str:
        """Return the text of a query for ``rows``; do it once."""

    def is_among(self, column: sa.Column[Any], name: str) -> sa.ColumnElement[bool]:
        """Return the condition that a column is in the list parameter ``name``."""

    def list_value(self, values: Sequence[int] | Sequence[str]) -> Any:
        """Convert a list to the value of a list parameter."""

    def json_of(self, stored: Sequence[Any]) -> Sequence[Any]:
        """Convert values of a JSON column as the driver returns them."""

    def time_of(self, stored: Any) -> datetime:
        """Convert a value of a time column as the driver returns it."""

    async def rows(self, statement: str, parameters: Parameters) -> Sequence[Row]:
        """Run a statement and return its rows.

        Raises:
            DatabaseUnavailable: The database is locked, shut down or unreachable, or every connection is busy.
        """

    async def close(self) -> None:
        """Close every connection."""


class SqliteReader:
    """Reads a SQLite file with the standard driver; each thread has a connection and prepared statements."""

    def __init__(self, file: Path, *, threads: int, busy_s: float, pragmas: Mapping[str, str]) -> None:
        """Prepare the threads; the first statement of each connects.

        Args:
            file: The database.
            threads: Number of concurrent statements.
            busy_s: Longest wait for a lock or for a free thread, in seconds.
            pragmas: Settings of each connection.
        """
        self._file = file
        self._busy_s = busy_s
        self._pragmas = pragmas
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="read")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []

    def compiled(self, query: sa.SelectBase) -> str:
        """Return the text of a query for ``rows``."""
        return str(query.compile(dialect=sqlite.dialect(paramstyle="named")))

    def is_among(self, column: sa.Column[Any], name: str) -> sa.ColumnElement[bool]:
        """Return the condition that a column is in the list parameter ``name``."""
        listed = sa.func.json_each(sa.bindparam(name)).table_valued("value")
        return column.in_(sa.select(listed.c.value))

    def list_value(self, values: Sequence[int] | Sequence[str]) -> str:
        """Convert a list to the value of a list parameter."""
        return json.dumps(values, ensure_ascii=False)

    def json_of(self, stored: Sequence[str]) -> Sequence[Any]:
        """Parse values of a JSON column in one call, which costs no more than parsing one or two."""
        values: list[Any] = json.loads(f"[{','.join(stored)}]")
        return values

    def time_of(self, stored: str) -> datetime:
        """Parse a value of a time column; SQLite stores UTC without the zone."""
        return datetime.fromisoformat(stored).replace(tzinfo=UTC)

    async def rows(self, statement: str, parameters: Parameters) -> Sequence[Row]:
        """Run a statement and return its rows.

        Raises:
            DatabaseUnavailable: The database is locked or cannot be read, or every thread is busy.
        """
        loop = asyncio.get_running_loop()
        try:
            with domain_faults():
                async with asyncio.timeout(self._busy_s):
                    return await loop.run_in_executor(self._threads, self._read, statement, parameters)
        except TimeoutError as error:
            raise DatabaseUnavailable(
                "every database connection is busy", retry_after_s=RETRY_AFTER_S
            ) from error

    async def close(self) -> None:
        """Finish the running statements and close every connection."""
        await asyncio.to_thread(self._threads.shutdown)
        while self._connections:
            self._connections.pop().close()

    def _read(self, statement: str, parameters: Parameters) -> list[Row]:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._connect()
        return connection.execute(statement, parameters).fetchall()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            # Not created here if it is missing.
            f"{self._file.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy_s,
            isolation_level=None,
            # Used by one thread at a time, and closed by another.
            check_same_thread=False,
        )
        try:
            for name, value in self._pragmas.items():
                connection.execute(f"PRAGMA {name} = {value}")
        except BaseException:
            connection.close()
            raise
        self._connections.append(connection)
        return connection


class PostgresReader:
    """Reads from Postgres on a pool's connections, whose driver prepares the statements that come often."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Use the connections of ``engine``, which runs each statement outside a transaction."""
        self._engine: Final = engine

    def compiled(self, query: sa.SelectBase) -> str:
        """Return the text of a query for ``rows``."""
        return str(query.compile(dialect=self._engine.dialect))

    def is_among(self, column: sa.Column[Any], name: str) -> sa.ColumnElement[bool]:
        """Return the condition that a column is in the list parameter ``name``."""
        return column == sa.func.any(sa.bindparam(name, type_=postgresql.ARRAY(column.type)))

    def list_value(self, values: Sequence[int] | Sequence[str]) -> Sequence[int] | Sequence[str]:
        """Return the list itself: the driver sends it as an array."""
        return values

    def json_of(self, stored: Sequence[Any]) -> Sequence[Any]:
        """Return values of a JSON column, which the driver has parsed."""
        return stored

    def time_of(self, stored: datetime) -> datetime:
        """Convert a value of a time column to UTC."""
        return stored.astimezone(UTC)

    async def rows(self, statement: str, parameters: Parameters) -> Sequence[Row]:
        """Run a statement and return its rows.

        Raises:
            DatabaseUnavailable: The database is shut down or unreachable, or every connection is busy.
        """
        with domain_faults():
            async with self._engine.connect() as connection:
                return (await connection.exec_driver_sql(statement, dict(parameters))).fetchall()

    async def close(self) -> None:
        """Do nothing: the pool is closed by its owner."""
