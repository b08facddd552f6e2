"""Tables in the engine, and their migrations.

``codes_N`` hold codes of N words, one row for each state of a picture. ``gone`` names the rows that changed:
at version v, a picture's rows are those added up to v, and of a picture with an entry in ``gone`` up to v only
the row added with its last entry. Rows are never updated, so a version that was published stays readable while
later ones are written. ``batches`` is the journal of what was written. ``repairs`` names ranges of pictures to
write again, and the version from which on each was.

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

    If a table was lost, the generations that had rows in it are removed from the journal, so that no search
    reads the rest of them, and the feeder writes them again.

    Raises:
        IndexUnavailable: The engine does not answer.
    """
    database, cluster = connection.database, connection.address.cluster
    existing = _tables(connection)
    current = 0
    if "schema_versions" in existing:
        (current,) = connection.row(f"SELECT max(version) FROM {database}.schema_versions")
    else:
        connection.command(f"CREATE DATABASE IF NOT EXISTS {database}{_on(cluster)}")
        _create(connection, "schema_versions", "version UInt32", "version", "rand()", partition=None)
    lost = _expected(connection, current) - existing
    if lost:
        _forget_generations(connection, lost)
    for version, steps in enumerate(MIGRATIONS, 1):
        if lost or version > current:
            # A step that ran before, in a process that ended before it noted so, does nothing.
            steps(connection)
        if version > current:
            connection.insert("schema_versions", {"version": [version]})


def _tables(connection: EngineConnection) -> frozenset[str]:
    """Return the names of the tables of the database; none if there is no database."""
    name = connection.address.database
    rows = connection.query(f"SELECT name FROM system.tables WHERE database = '{name}'")
    return frozenset(table for (table,) in rows)


def _expected(connection: EngineConnection, version: int) -> frozenset[str]:
    """Return the names of the tables of codes, changes and repairs at a version of the schema."""
    tables = [*map(code_table, range(1, MAX_WORDS + 1)), "gone", "batches"] if version >= 1 else []
    tables += ["repairs"] if version >= REPAIRS_VERSION else []
    if connection.address.cluster is not None:
        tables += [f"{table}_local" for table in tables]
    return frozenset(tables)


def _forget_generations(connection: EngineConnection, lost: frozenset[str]) -> None:
    if {"batches", "batches_local"} & lost:
        return  # the journal itself
    names = {name.removesuffix("_local") for name in lost}
    words = [n for n in range(1, MAX_WORDS + 1) if "gone" in names or code_table(n) in names]
    if words:
        listed = ", ".join(map(str, words))
        connection.command(
            f"ALTER TABLE {local_table(connection, 'batches')} DELETE WHERE words IN ({listed})",
            {"mutations_sync": 2},
        )


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


def _repairs(connection: EngineConnection) -> None:
    _create(
        connection,
        "repairs",
        "generation UInt64, id UInt64, first UInt64, last UInt64, version UInt64",
        "generation, id, version",
        "cityHash64(generation)",
    )


MIGRATIONS: Final[Sequence[Callable[[EngineConnection], None]]] = (_first_tables, _repairs)
"""One function for each version of the schema; every statement in it may run twice."""
REPAIRS_VERSION: Final = 2


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
