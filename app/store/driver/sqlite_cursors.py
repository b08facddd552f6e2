"""SQLite cursors that execute, fetch and close in one round trip to the connection's thread.

The driver needs one round trip each to create a cursor, execute, fetch the rows and close. A round trip wakes
that thread and then the event loop, which costs more than most statements.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    SQLiteExecutionContext_aiosqlite,
)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Result of a statement, with the attribute names of a DBAPI cursor."""

    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None


class OneTurnCursor(AsyncAdapt_aiosqlite_cursor):
    """A cursor that holds the outcome and the rows of its last statement; the driver's cursor is closed."""

    __slots__ = ()

    def _make_new_cursor(self, connection: Any) -> Any:
        del connection
        return _Outcome()

    def _aenter_cursor(self, cursor: Any) -> Any:
        return cursor

    def close(self) -> None:
        """Discard unread rows."""
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """Do nothing: the driver's cursor is already closed."""

    async def _execute_async(self, operation: str, parameters: Any) -> None:
        await self._run(lambda cursor: cursor.execute(operation, parameters or ()))

    async def _executemany_async(self, operation: str, seq_of_parameters: Sequence[Any]) -> None:
        await self._run(lambda cursor: cursor.executemany(operation, seq_of_parameters))

    async def _run(self, statement: Callable[[sqlite3.Cursor], object]) -> None:
        connection = cast(Any, self._connection)

        def run_and_fetch() -> tuple[_Outcome, list[Any]]:
            cursor = connection._conn.cursor()  # noqa: SLF001 - the driver has no public name for it
            try:
                statement(cursor)
                rows = cursor.fetchall() if cursor.description else []
                return _Outcome(cursor.description, cursor.rowcount, cursor.lastrowid), rows
            finally:
                cursor.close()

        outcome, rows = await connection._execute(run_and_fetch)  # noqa: SLF001 - as above
        self._cursor, self._rows = outcome, deque(rows)


class OneTurnContext(SQLiteExecutionContext_aiosqlite):
    """Execution context that uses ``OneTurnCursor``; set as a dialect's ``execution_ctx_cls``."""

    def create_default_cursor(self) -> Any:
        """Return a cursor for one statement."""
        return OneTurnCursor(cast(AsyncAdapt_aiosqlite_connection, self._dbapi_connection.dbapi_connection))
