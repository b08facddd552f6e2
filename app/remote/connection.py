"""Connection to ClickHouse: queries, inserts and commands with a deadline, and errors of the domain."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import structlog

from app.domain.errors import IndexUnavailable

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from urllib3 import PoolManager

_log = structlog.get_logger()

RETRY_AFTER_S: Final = 5
"""Seconds after which a caller may retry while the server does not answer."""
CONNECT_S: Final = 3.0
"""Longest time to open a connection, in seconds."""
GRACE_S: Final = 2.0
"""Seconds for an answer beyond the deadline, so that the server can report it first."""
MAX_STATEMENT_BYTES: Final = 64_000_000
"""Longest statement: long filters and the numbers of thousands of changed pictures exceed the default,
256 KiB."""
MAX_STATEMENT_ELEMENTS: Final = 5_000_000
"""Most elements of a statement's syntax tree, for the same reason."""
EMBEDDED: Final = "chdb"
"""Scheme of the engine that runs in this process, for tests and trials."""

REFUSED_PASSWORD: Final = "AUTHENTICATION_FAILED"  # noqa: S105 - the name of an error
"""Name of the engine's error for a wrong user or password."""

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where the engine is, and the limits of each statement."""

    url: str
    """``http://host:8123``, ``https://host:8443``, or ``chdb:///folder`` for an engine in this process."""
    database: str
    user: str = "default"
    read_password: Callable[[], str] = field(default=str, repr=False)
    """Returns the current password of the user; called again when the engine refuses the last one."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    cluster: str | None = None
    """Name of the cluster that the tables are spread over; None for a single server."""
    deadline_s: float = 10.0
    """Longest duration of a statement, in seconds."""
    max_memory_bytes: int = 4_000_000_000
    """Memory that a statement may use on a server."""
    threads: int = 0
    """Threads of one statement on a server; 0 for the server's default."""


class EngineConnection:
    """The pooled connections of this process; threads may share it. It connects when first used."""

    def __init__(self, address: EngineAddress) -> None:
        """Use the engine at ``address``."""
        self.address: Final = address
        self._connecting = threading.Lock()
        self._client: Client | None = None
        self._pool: PoolManager | None = None
        """HTTP connections of the present client."""
        self._password: str | None = None
        """Password of the present client."""

    @property
    def database(self) -> str:
        """Quoted name of the database."""
        return f"`{self.address.database}`"

    def query(self, sql: str) -> Rows:
        """Run a query and return its rows.

        Raises:
            IndexUnavailable: The engine does not answer in time, or lacks memory or the tables.
        """
        rows: Rows = self._run(lambda client: list(client.query(sql, settings=self._settings()).result_rows))
        return rows

    def row(self, sql: str) -> tuple[Any, ...]:
        """Run a query that always has one row, and return that.

        Raises:
            IndexUnavailable: As for ``query``, or the answer has another number of rows.
        """
        rows = self.query(sql)
        if len(rows) != 1:
            raise _unavailable(_BROKEN)
        return rows[0]

    def command(self, sql: str, settings: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns nothing.

        Raises:
            IndexUnavailable: As for ``query``.
        """
        self._run(lambda client: client.command(sql, settings={**self._settings(), **(settings or {})}))

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]], *, token: str | None = None) -> None:
        """Insert rows, given by column, as one block.

        Args:
            table: Name of the table.
            columns: Values by column name, all of one length.
            token: Deduplication token; a block with a token that the table has seen is not inserted again.

        Raises:
            IndexUnavailable: As for ``query``; whether the rows were inserted is then unknown.
        """
        settings = self._settings()
        if token is not None:
            settings |= {"insert_deduplicate": 1, "insert_deduplication_token": token}
        self._run(
            lambda client: client.insert(
                table,
                list(columns.values()),
                column_names=list(columns),
                database=self.address.database,
                column_oriented=True,
                settings=settings,
            )
        )

    def close(self) -> None:
        """Close all connections."""
        with self._connecting:
            client, self._client = self._client, None
            pool, self._pool = self._pool, None
        if client is not None:
            client.close()
        if pool is not None:
            pool.clear()

    def _settings(self) -> dict[str, Any]:
        address = self.address
        settings: dict[str, Any] = {
            "max_execution_time": address.deadline_s,
            "max_memory_usage": address.max_memory_bytes,
            "max_query_size": MAX_STATEMENT_BYTES,
            "max_ast_elements": MAX_STATEMENT_ELEMENTS,
            "max_expanded_ast_elements": MAX_STATEMENT_ELEMENTS,
        }
        if address.threads:
            settings["max_threads"] = address.threads
        if address.cluster is not None:
            settings |= {
                # A reader that sees a published version must see its rows, on whichever replica it asks.
                "insert_quorum": "auto",
                "insert_quorum_parallel": 0,
                "select_sequential_consistency": 1,
                "distributed_foreground_insert": 1,
                # Codes and their deletions are on the same shard, because both are spread by number.
                "distributed_product_mode": "local",
            }
        return settings

    def _run(self, work: Any) -> Any:
        from clickhouse_connect.driver.exceptions import ClickHouseError  # noqa: PLC0415 - an optional package
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            client = self._connected()
            try:
                return work(client)
            except ClickHouseError as error:
                if REFUSED_PASSWORD not in str(error) or not self._replace(client):
                    raise
                return work(self._connected())
        except (ClickHouseError, HTTPError, OSError) as error:
            reason = _reason(f"{type(error).__name__}: {error}")
            _log.warning("index_engine_failed", detail=reason, error=str(error)[:500])
            raise _unavailable(reason) from error
        except IndexUnavailable:
            raise  # the password cannot be read
        except Exception as error:  # the client raises anything where an answer is cut off or no answer at all
            _log.warning("index_engine_failed", detail=_BROKEN, error=repr(error)[:500], exc_info=True)
            raise _unavailable(_BROKEN) from error

    def _connected(self) -> "Client":
        if self._client is None:
            with self._connecting:
                if self._client is None:
                    self._password = self.address.read_password()
                    self._client = self._new_client(self._password)
        return self._client

    def _replace(self, refused: "Client") -> bool:
        """Drop a client whose password the engine refused; return whether the next one has another password."""
        with self._connecting:
            if self._client is not refused:
                return True  # another thread has replaced it
            if self.address.read_password() == self._password:
                return False
            self._client = None
        refused.close()
        return True

    def _new_client(self, password: str) -> "Client":
        import clickhouse_connect  # noqa: PLC0415

        # Their warnings of a failed request would repeat the error that the request raises.
        for name in ("urllib3.connectionpool", "clickhouse_connect"):
            logging.getLogger(name).setLevel(logging.ERROR)
        address = self.address
        parts = urlsplit(address.url)
        if parts.scheme == EMBEDDED:
            return clickhouse_connect.get_client(interface=EMBEDDED, path=parts.path or ":memory:")
        from app.remote.transport import bounded_pool  # noqa: PLC0415

        host, port = parts.hostname or "", parts.port or (8443 if parts.scheme == "https" else 8123)
        if self._pool is None:
            self._pool = bounded_pool(parts.scheme, host, port, address.ca_file)
        return clickhouse_connect.get_client(
            interface=parts.scheme,
            host=host,
            port=port,
            username=address.user,
            password=password,
            pool_mgr=self._pool,
            connect_timeout=CONNECT_S,
            send_receive_timeout=address.deadline_s + GRACE_S,
            query_retries=0,
            # Threads share the client; a session would admit one statement at a time.
            autogenerate_session_id=False,
            client_name="lookalike",
        )


_BROKEN: Final = "its answer is incomplete or no answer of ClickHouse"
_TOO_OLD: Final = "it does not know a statement; its version may be too old"
_REASONS: Final = {
    "TIMEOUT_EXCEEDED": "it exceeded the deadline of a statement",
    "MEMORY_LIMIT_EXCEEDED": "it exceeded the memory of a statement",
    "NOT_ENOUGH_SPACE": "its disk is full",
    "No space left on device": "its disk is full",
    "UNKNOWN_TABLE": "its tables are missing and will be made again",
    "UNKNOWN_DATABASE": "its database is missing and will be made again",
    REFUSED_PASSWORD: "it refuses the user or the password",
    "ACCESS_DENIED": "the user lacks a privilege",
    "TOO_MANY_SIMULTANEOUS_QUERIES": "it runs too many statements",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted",
    "SYNTAX_ERROR": _TOO_OLD,
    "UNKNOWN_SETTING": _TOO_OLD,
    "UNKNOWN_FUNCTION": _TOO_OLD,
    "UNKNOWN_TYPE": _TOO_OLD,
    "UNKNOWN_IDENTIFIER": _TOO_OLD,
    "NOT_IMPLEMENTED": _TOO_OLD,
    "Unknown identifier": _TOO_OLD,  # of versions that send no names of errors
    "Connection refused": "it refuses connections",
    "timed out": "it did not answer in time",
    "StreamFailureError": _BROKEN,
    "Unexpected response": _BROKEN,
}
"""Reasons by a part of the error's name or message; the first one found counts."""


def _reason(message: str) -> str:
    """Return what callers may read of an error; the message may contain addresses and statements."""
    return next((reason for part, reason in _REASONS.items() if part in message), "it did not respond")


def _unavailable(reason: str) -> IndexUnavailable:
    return IndexUnavailable(f"the index engine cannot answer: {reason}", retry_after_s=RETRY_AFTER_S)
