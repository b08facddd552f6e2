"""Write codes, deletions and published versions of a generation; every step may be repeated.

One process writes at a time, under a lease. A block that was inserted before, by this process or by one that
was killed, has the same deduplication token and is not inserted again.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from app.domain.codes import codes_from_bytes
from app.remote.connection import EngineConnection
from app.remote.filters import text_sql
from app.remote.journal import Generation, Journal, JournalEntry, Repair, WriteProgress
from app.remote.schema import MAX_WORDS, code_columns, code_table, local_table

KEPT_BATCHES_S: Final = 3_600
"""Seconds for which the journal keeps the entries of superseded versions."""
COMPACTED_AT_ONCE: Final = 5_000
"""Changed pictures whose rows are deleted by one statement."""
ORPHAN_AGE_NS: Final = 3_600 * 10**9
"""Age from which on rows of an unknown generation are deleted, in nanoseconds."""


@dataclass(slots=True)
class PictureRows:
    """Pictures to insert, one entry in each list."""

    numbers: list[int] = field(default_factory=list)
    codes: list[bytes] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    """The version from which on each row is found."""
    terms: list[list[str]] = field(default_factory=list)
    ranges: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RepairedRows:
    """Pictures of a range that are written again."""

    repair: Repair
    rows: PictureRows
    gone: Sequence[int]
    """Numbers of pictures whose earlier rows are not found any more, those of ``rows`` included."""


class Writer:
    """Writes to the engine. Every method waits for it and raises ``IndexUnavailable``."""

    def __init__(self, connection: EngineConnection) -> None:
        """Write through ``connection``."""
        self._connection = connection
        self.journal: Final = Journal(connection)

    def begin_generation(self, owner: str, words: int, change: int) -> WriteProgress:
        """Begin another generation, to be filled from rows that are read at ``change`` or later."""
        generation = Generation(owner, time.time_ns(), words)
        self.journal.write(generation, JournalEntry.FILLING, change, change)
        return WriteProgress(generation, change, None, None, None, needs_refill=False)

    def filled_up_to(self, generation: Generation) -> int:
        """Return the highest insertion number of a generation; -1 for an empty one."""
        table = f"{self._connection.database}.{code_table(generation.words)}"
        count, highest = self._connection.row(
            f"SELECT count(), max(number) FROM {table} WHERE generation = {generation.id}"
        )
        return int(highest) if count else -1

    def fill(self, generation: Generation, bits: int, rows: PictureRows) -> None:
        """Insert rows of a fill; pictures come in ascending order."""
        if rows.numbers:
            self._put(generation, bits, rows, f"{generation.id}:fill:{rows.numbers[-1]}")

    def end_fill(self, progress: WriteProgress) -> None:
        """Note that all rows are inserted; the changes since the fill began follow."""
        self.journal.write(
            progress.generation, JournalEntry.WRITTEN, progress.filled_from, progress.filled_from
        )

    def write_batch(
        self,
        generation: Generation,
        bits: int,
        changes: tuple[int, int],
        rows: PictureRows,
        gone: Sequence[int],
        *,
        is_exact: bool,
        repaired: RepairedRows | None = None,
    ) -> None:
        """Write the changes after ``changes[0]`` up to ``changes[1]``.

        Args:
            generation: The generation.
            bits: Code length.
            changes: First and last change number.
            rows: The pictures as they are now.
            gone: Numbers of pictures whose earlier rows are not found from the last change on.
            is_exact: Whether the rows contain no later change, so that searches may read this version.
            repaired: Other pictures to write again.
        """
        start, end = changes
        token = f"{generation.id}:{start}:{end}"
        if rows.numbers or gone or repaired is not None:
            self.journal.write(generation, JournalEntry.BEGUN, start, end)
        self._put_changes(generation, bits, rows, gone, end, token)
        if repaired is not None:
            # Its own token: an earlier attempt at this batch may not have known of the repair.
            token = f"{generation.id}:repair:{repaired.repair.id}:{end}"
            self._put_changes(generation, bits, repaired.rows, repaired.gone, end, token)
            self.journal.write(generation, JournalEntry.REPAIRED, start, end)
        self.journal.write(generation, JournalEntry.PUBLISHED if is_exact else JournalEntry.WRITTEN, start, end)

    def numbers_between(self, generation: Generation, first: int, last: int) -> list[int]:
        """Return the insertion numbers from ``first`` to ``last`` that have a row, whatever its version."""
        table = f"{self._connection.database}.{code_table(generation.words)}"
        rows = self._connection.query(
            f"SELECT DISTINCT number FROM {table} WHERE generation = {generation.id} "
            f"AND number BETWEEN {first} AND {last}"
        )
        return [number for (number,) in rows]

    def drop(self, generation: Generation) -> None:
        """Delete a generation with all its rows."""
        sync = {"alter_sync": 2, "mutations_sync": 2}
        for table in (code_table(generation.words), "gone", "repairs"):
            name = local_table(self._connection, table)
            self._connection.command(f"ALTER TABLE {name} DROP PARTITION {generation.id}", sync)
        # Last, so that a process that was killed before is followed by another drop.
        batches = local_table(self._connection, "batches")
        self._connection.command(
            f"ALTER TABLE {batches} DELETE WHERE owner = {text_sql(generation.owner)} "
            f"AND generation = {generation.id}",
            sync,
        )

    def gone_count(self, generation: Generation, up_to: int) -> int:
        """Count the entries of changed and deleted pictures up to a version."""
        (count,) = self._connection.row(
            f"SELECT count() FROM {self._connection.database}.gone "
            f"WHERE generation = {generation.id} AND change <= {up_to}"
        )
        return int(count)

    def compact(self, generation: Generation, up_to: int) -> None:
        """Delete the rows that no view at version ``up_to`` or later finds, and the entries that hid them.

        Searches continue meanwhile. If it ends early, the next call does the rest.
        """
        connection, sync = self._connection, {"lightweight_deletes_sync": 2}
        codes = local_table(connection, code_table(generation.words))
        gone = local_table(connection, "gone")
        while True:
            # Numbers, not subqueries: replicas execute a deletion each by itself, and one may lag.
            found = connection.query(
                f"SELECT number, max(change) FROM {connection.database}.gone "
                f"WHERE generation = {generation.id} AND change <= {up_to} "
                f"GROUP BY number ORDER BY number LIMIT {COMPACTED_AT_ONCE}"
            )
            if not found:
                break
            numbers = ", ".join(str(number) for number, _ in found)
            last = ", ".join(f"({number}, {change})" for number, change in found)
            connection.command(
                f"DELETE FROM {codes} WHERE generation = {generation.id} AND added <= {up_to} "
                f"AND number IN ({numbers}) AND (number, added) NOT IN ({last})",
                sync,
            )
            connection.command(
                f"DELETE FROM {gone} WHERE generation = {generation.id} AND change <= {up_to} "
                f"AND number IN ({numbers})",
                sync,
            )
            if len(found) < COMPACTED_AT_ONCE:
                break
        (now_ms,) = connection.row("SELECT toUnixTimestamp64Milli(now64(3))")
        connection.command(
            f"ALTER TABLE {local_table(connection, 'batches')} DELETE WHERE generation = {generation.id} "
            f"AND to_change < {up_to} AND state != '{JournalEntry.FILLING}' "
            f"AND at < fromUnixTimestamp64Milli(toInt64({now_ms - 1_000 * KEPT_BATCHES_S}))",
            {"mutations_sync": 2},
        )

    def drop_orphans(self) -> int:
        """Delete the rows of generations that are not in the journal, and return the number of partitions.

        A journal that was lost and made again leaves such rows. A generation is in the journal before it has
        rows; those that began in the last hour are left alone.
        """
        connection = self._connection
        cluster = connection.address.cluster
        parts = "system.parts" if cluster is None else f"clusterAllReplicas(`{cluster}`, system.parts)"
        suffix = "" if cluster is None else "_local"
        tables = [*map(code_table, range(1, MAX_WORDS + 1)), "gone", "repairs"]
        listed = ", ".join(f"'{table}{suffix}'" for table in tables)
        rows = connection.query(
            f"SELECT DISTINCT table, toUInt64OrZero(partition) AS id FROM {parts} WHERE active "
            f"AND database = '{connection.address.database}' AND table IN ({listed}) "
            f"AND id BETWEEN 1 AND {time.time_ns() - ORPHAN_AGE_NS}"
        )
        # Not as a condition of the query: on a cluster each server would ask its own part of the journal.
        known = {
            one for (one,) in connection.query(f"SELECT DISTINCT generation FROM {connection.database}.batches")
        }
        orphans = [
            (table.removesuffix(suffix), generation) for table, generation in rows if generation not in known
        ]
        for table, generation in orphans:
            name = local_table(connection, table)
            connection.command(f"ALTER TABLE {name} DROP PARTITION {generation}", {"alter_sync": 2})
        return len(orphans)

    def _put_changes(
        self, generation: Generation, bits: int, rows: PictureRows, gone: Sequence[int], end: int, token: str
    ) -> None:
        if rows.numbers:
            self._put(generation, bits, rows, token)
        if gone:
            count = len(gone)
            columns = {"generation": [generation.id] * count, "number": list(gone), "change": [end] * count}
            self._connection.insert("gone", columns, token=token)

    def _put(self, generation: Generation, bits: int, rows: PictureRows, token: str) -> None:
        codes = codes_from_bytes(b"".join(rows.codes), bits)
        columns: dict[str, object] = {
            "generation": [generation.id] * len(rows.numbers),
            "number": rows.numbers,
            "added": rows.added,
        }
        for i, column in enumerate(code_columns(generation.words)):
            columns[column] = np.ascontiguousarray(codes[:, i])
        columns |= {"terms": rows.terms, "ranges": rows.ranges}
        self._connection.insert(code_table(generation.words), columns, token=token)  # type: ignore[arg-type]
