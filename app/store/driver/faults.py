"""Translate the expected failures of a database into domain errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.domain.errors import DatabaseUnavailable, InvalidRequest, LookalikeError, StorageFull
from app.telemetry.metrics import DATABASE_ERRORS

RETRY_AFTER_S: Final = 2

_SQLITE_UNAVAILABLE: Final = {
    sqlite3.SQLITE_BUSY: None,
    sqlite3.SQLITE_LOCKED: None,
    sqlite3.SQLITE_PROTOCOL: None,
    sqlite3.SQLITE_IOERR: "the disk under the database fails to read or write",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened: it is missing or not readable",
    sqlite3.SQLITE_READONLY: "the database cannot be written to: its file, folder or disk is read-only",
}
"""Messages of failures that may be temporary; None for the default message (no answer in time)."""
_SQLITE_PRIMARY: Final = 0xFF
"""Mask: the low byte of an extended result code is the primary code."""

# Classes: connection lost, out of resources, cancelled or shut down by the server. Codes: lock timeout,
# deadlock, serialization failure, and a transaction that was idle or open for too long.
_POSTGRES_UNAVAILABLE_CLASSES: Final = frozenset({"08", "53", "57", "58"})
_POSTGRES_UNAVAILABLE: Final = frozenset({"55P03", "40P01", "40001", "25P03", "25P04"})
_POSTGRES_DISK_FULL: Final = "53100"


@contextmanager
def domain_faults() -> Iterator[None]:
    """Translate the expected failures of a database into domain errors; other exceptions propagate.

    Raises:
        DatabaseUnavailable: Locked, timed out, shut down or unreachable; a retry may succeed.
        StorageFull: The disk under the database is full.
        InvalidRequest: A text contains NUL, which Postgres neither stores nor compares.
    """
    try:
        yield
    except PoolTimeoutError as error:
        DATABASE_ERRORS.labels("busy").inc()
        raise DatabaseUnavailable("every database connection is busy", retry_after_s=RETRY_AFTER_S) from error
    except DBAPIError as error:
        known = _domain_error(error)
        if known is None:
            raise
        _count(known)
        raise known from error
    except sqlite3.Error as error:
        known = _from_sqlite(error)
        if known is None:
            raise
        _count(known)
        raise known from error


def _count(error: LookalikeError) -> None:
    if isinstance(error, InvalidRequest):
        return
    DATABASE_ERRORS.labels("full" if isinstance(error, StorageFull) else "unavailable").inc()


def violated(error: IntegrityError, constraint: str, sqlite_columns: str) -> bool:
    """Return whether ``error`` violates this constraint.

    Args:
        error: The database's error.
        constraint: Name of the constraint, which Postgres reports.
        sqlite_columns: ``table.column, table.column``, which SQLite reports instead.
    """
    cause = error.orig
    if isinstance(cause, psycopg.Error):
        return cause.diag.constraint_name == constraint
    return f"constraint failed: {sqlite_columns}" in str(cause)


def _domain_error(error: DBAPIError) -> LookalikeError | None:
    cause = error.orig
    if isinstance(cause, psycopg.Error):
        return _from_postgres(cause)
    if isinstance(cause, sqlite3.Error):
        return _from_sqlite(cause)
    # The driver's own "connection closed" error: the connection broke while in use.
    return DatabaseUnavailable(retry_after_s=RETRY_AFTER_S) if error.connection_invalidated else None


def _from_sqlite(cause: sqlite3.Error) -> LookalikeError | None:
    code = getattr(cause, "sqlite_errorcode", None)
    if code is None:
        return None
    # SQLITE_IOERR_SHMSIZE: the shared-memory file of the write-ahead log could not grow.
    if code & _SQLITE_PRIMARY == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return StorageFull("the disk under the database is full")
    if code & _SQLITE_PRIMARY in _SQLITE_UNAVAILABLE:
        return DatabaseUnavailable(_SQLITE_UNAVAILABLE[code & _SQLITE_PRIMARY], retry_after_s=RETRY_AFTER_S)
    return None


def _from_postgres(cause: psycopg.Error) -> LookalikeError | None:
    state = cause.sqlstate
    if isinstance(cause, psycopg.DataError) and "NUL" in str(cause):
        return InvalidRequest("text must not contain the character NUL")
    if state == _POSTGRES_DISK_FULL:
        return StorageFull("the disk under the database is full")
    # No state: the connection could not be made, or broke before the server sent a reason.
    lost = state is None and isinstance(cause, psycopg.OperationalError)
    if lost or state in _POSTGRES_UNAVAILABLE or (state or "")[:2] in _POSTGRES_UNAVAILABLE_CLASSES:
        return DatabaseUnavailable(retry_after_s=RETRY_AFTER_S)
    return None
