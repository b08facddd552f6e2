"""Tables in the engine, and their migrations.

``codes_N`` hold codes of N words, one row for each state of a picture. ``gone`` names the rows that changed:
at version v, a picture's rows are those added up to v, and of a picture with an entry in ``gone`` up to v only
the row added with its last entry. Rows are never updated, so a version that was published stays readable while
later ones are written. ``batches`` is the journal of what was written.

On a cluster, each table is a ``Distributed`` one over replicated local tables named ``…_local``; the hash of
the insertion number decides on the shard of a row.
"""

from collections.abc import Callable, Sequence
from typing import Final

from app.domain.codes import MAX_BITS, words_for
from app.remote.connection import EngineConnection

MAX_WORDS: Final = words_for(MAX_BITS)
DEDUPLICATED_BLOCKS: Final = 10_000
"""Tokens of inserted blocks that a table remembers."""


def code_table(words: int) -> str:
    """Return the name of the table of codes of ``words`` words."""
    return f"codes_{words}"


def code_columns(words: int) -> list[str]:
    """Return the names of the columns that hold a code, least significant word first."""
    return [f"c{i}" for i in range(words)]


def local_table(connection: EngineConnection, table: str) -> str:
    """Return the name, with the clause ON CLUSTER where needed, of the table that holds rows."""
    cluster = connection.address.cluster
    name = f"{connection.database}.{table}"
    return name if cluster is None else f"{name}_local{_on(cluster)}"


def migrate(connection: EngineConnection) -> None:
    """Create the tables, or upgrade those of an earlier version; does nothing if they are current.

    Raises:
        IndexUnavailable: The engine does not answer.
    """
    database, cluster = connection.database, connection.address.cluster
    connection.command(f"CREATE DATABASE IF NOT EXISTS {database}{_on(cluster)}")
    _create(connection, "schema_versions", "version UInt32", "version", "rand()", partition=None)
    rows = connection.query(f"SELECT max(version) FROM {database}.schema_versions")
    for version, steps in enumerate(MIGRATIONS[rows[0][0] :], rows[0][0] + 1):
        # A step that ran before, in a process that ended before it noted so, does nothing.
        steps(connection)
        connection.insert("schema_versions", {"version": [version]})


def _first_tables(connection: EngineConnection) -> None:
    for words in range(1, MAX_WORDS + 1):
        code = ", ".join(f"{column} UInt64 CODEC(NONE)" for column in code_columns(words))
        _create(
            connection,
            code_table(words),
            "generation UInt64, number UInt64 CODEC(Delta, LZ4), added UInt64 CODEC(Delta, LZ4), "
            f"{code}, terms Array(LowCardinality(String)), ranges Array(String)",
            "generation, number, added",
            "cityHash64(number)",
        )
    _create(
        connection,
        "gone",
        "generation UInt64, number UInt64, change UInt64",
        "generation, number, change",
        "cityHash64(number)",
    )
    _create(
        connection,
        "batches",
        "owner String, generation UInt64, words UInt8, state LowCardinality(String), from_change UInt64, "
        "to_change UInt64, at DateTime64(3) DEFAULT now64(3)",
        "owner, generation, to_change, state, from_change",
        "cityHash64(owner)",
        partition=None,
    )


MIGRATIONS: Final[Sequence[Callable[[EngineConnection], None]]] = (_first_tables,)
"""One function for each version of the schema; every statement in it may run twice."""


def _create(
    connection: EngineConnection,
    table: str,
    columns: str,
    order: str,
    sharding: str,
    *,
    partition: str | None = "generation",
) -> None:
    database, cluster = connection.database, connection.address.cluster
    partitioned = f" PARTITION BY {partition}" if partition else ""
    replicated, window = ("", f" SETTINGS non_replicated_deduplication_window = {DEDUPLICATED_BLOCKS}")
    if cluster is not None:
        replicated, window = "Replicated", f" SETTINGS replicated_deduplication_window = {DEDUPLICATED_BLOCKS}"
    local = local_table(connection, table)
    connection.command(
        f"CREATE TABLE IF NOT EXISTS {local} ({columns}) ENGINE = {replicated}ReplacingMergeTree"
        f"{partitioned} ORDER BY ({order}){window}"
    )
    if cluster is not None:
        connection.command(
            f"CREATE TABLE IF NOT EXISTS {database}.{table}{_on(cluster)} AS {database}.{table}_local "
            f"ENGINE = Distributed(`{cluster}`, {database}, {table}_local, {sharding})"
        )


def _on(cluster: str | None) -> str:
    return "" if cluster is None else f" ON CLUSTER `{cluster}`"
