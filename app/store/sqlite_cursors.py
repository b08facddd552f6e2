"""SQLite's cursors: a statement is run, read and closed in one turn of its connection's thread.

The driver takes a turn each to make a cursor, to execute, to read the rows and to close it. A turn wakes that
thread and then the event loop, which costs more than most statements.
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
    """What a statement leaves, by the names of the DBAPI's cursors."""

    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None


class OneTurnCursor(AsyncAdapt_aiosqlite_cursor):
    """A cursor that holds its last statement's outcome and rows; the driver's own is closed by then."""

    __slots__ = ()

    def _make_new_cursor(self, connection: Any) -> Any:
        del connection
        return _Outcome()

    def _aenter_cursor(self, cursor: Any) -> Any:
        return cursor

    def close(self) -> None:
        """Forget the rows that were not read."""
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """Do nothing: the driver's cursor is closed."""

    async def _execute_async(self, operation: str, parameters: Any) -> None:
        await self._run(lambda cursor: cursor.execute(operation, parameters or ()))

    async def _executemany_async(self, operation: str, seq_of_parameters: Sequence[Any]) -> None:
        await self._run(lambda cursor: cursor.executemany(operation, seq_of_parameters))

    async def _run(self, statement: Callable[[sqlite3.Cursor], object]) -> None:
        connection = cast(Any, self._connection)

        def turn() -> tuple[_Outcome, list[Any]]:
            cursor = connection._conn.cursor()  # noqa: SLF001 - the driver has no public name for it
            try:
                statement(cursor)
                rows = cursor.fetchall() if cursor.description else []
                return _Outcome(cursor.description, cursor.rowcount, cursor.lastrowid), rows
            finally:
                cursor.close()

        outcome, rows = await connection._execute(turn)  # noqa: SLF001 - nor for this
        self._cursor, self._rows = outcome, deque(rows)


class OneTurnContext(SQLiteExecutionContext_aiosqlite):
    """Executes statements by ``OneTurnCursor``; for a dialect's ``execution_ctx_cls``."""

    def create_default_cursor(self) -> Any:
        """A cursor for one statement."""
        return OneTurnCursor(cast(AsyncAdapt_aiosqlite_connection, self._dbapi_connection.dbapi_connection))
