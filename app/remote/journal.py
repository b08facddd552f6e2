"""The journal of what the engine holds: fills, batches of changes, and the versions that searches may read."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.remote.connection import EngineConnection
from app.remote.filters import text_sql

SETTLED_S: Final = 60
"""Seconds after which no search that began earlier reads an older version, and no statement still runs."""


class JournalEntry(StrEnum):
    """Kinds of entries."""

    FILLING = "filling"
    """A generation is being written from the database's rows, as of ``to_change`` or later."""
    BEGUN = "begun"
    """The changes from ``from_change`` to ``to_change`` are being written."""
    WRITTEN = "written"
    """They are written, but may contain a part of later changes."""
    PUBLISHED = "published"
    """They are written, and contain nothing else: searches may read ``to_change``."""
    REPAIRED = "repaired"
    """Rows were written again at ``to_change``: earlier counts of pictures may have been wrong."""
    REFILL = "refill"
    """The generation is faulty; the feeder must write another one from the database's rows."""


_PUBLISHED: Final = f"state = '{JournalEntry.PUBLISHED}'"
_DONE: Final = f"state IN ('{JournalEntry.WRITTEN}', '{JournalEntry.PUBLISHED}')"


@dataclass(frozen=True, slots=True)
class Generation:
    """One copy of a collection's codes under one model: the database's rows, and the changes since."""

    owner: str
    """The collection and model."""
    id: int
    """Later generations have higher ids."""
    words: int
    """Words of a code."""


@dataclass(frozen=True, slots=True)
class WriteProgress:
    """How far a generation is written."""

    generation: Generation
    filled_from: int
    """Change number at which its fill began."""
    written: int | None
    """Change number up to which changes are written; None while it is being filled."""
    published: int | None
    """The newest version that searches may read."""
    begun: int | None
    """End of the batch that was begun after ``written``, if it is unknown whether it was written."""
    needs_refill: bool


@dataclass(frozen=True, slots=True)
class Published:
    """What searches may read of an owner."""

    generation: Generation
    version: int
    repaired: int
    """The last version at which rows were repaired; 0 if none was."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A range of pictures whose rows the feeder must write again."""

    id: int
    first: int
    """First insertion number."""
    last: int
    """Last insertion number, inclusive."""


class Journal:
    """Reads and writes the journal. Every method waits for the engine."""

    def __init__(self, connection: EngineConnection) -> None:
        """Use the journal at ``connection``."""
        self._connection = connection
        self._table = f"{connection.database}.batches"

    def progress(self, owner: str) -> WriteProgress | None:
        """Return the progress of the newest generation; None if there is none.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        rows = self._connection.query(
            "SELECT generation, any(words), "
            f"maxIf(to_change, state = '{JournalEntry.FILLING}'), countIf({_DONE}), maxIf(to_change, {_DONE}), "
            f"countIf({_PUBLISHED}), maxIf(to_change, {_PUBLISHED}), "
            f"countIf(state = '{JournalEntry.REFILL}'), "
            f"groupArrayIf((from_change, to_change), state = '{JournalEntry.BEGUN}') "
            f"FROM {self._table} WHERE owner = {text_sql(owner)} "
            "GROUP BY generation ORDER BY generation DESC LIMIT 1"
        )
        if not rows:
            return None
        identity, words, filled_from, done, written, publications, published, refills, begun = rows[0]
        # The first end that was chosen, so that a repeated insert has the token of the first.
        ends = [end for start, end in begun if start == written]
        return WriteProgress(
            Generation(owner, identity, words),
            filled_from,
            written if done else None,
            published if publications else None,
            min(ends) if done and ends else None,
            needs_refill=bool(refills),
        )

    def published(self, owners: Sequence[str], at_most: int) -> dict[str, Published]:
        """Return the newest generation of each owner with its newest version up to ``at_most``.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        if not owners:
            return {}
        rows = self._connection.query(
            "SELECT owner, generation, any(words), "
            f"maxIf(to_change, {_PUBLISHED}), maxIf(to_change, state = '{JournalEntry.REPAIRED}') "
            f"FROM {self._table} WHERE owner IN ({', '.join(map(text_sql, owners))}) "
            f"AND to_change <= {at_most} GROUP BY owner, generation HAVING countIf({_PUBLISHED}) > 0 "
            "ORDER BY owner, generation"
        )
        return {
            owner: Published(Generation(owner, number, words), version, repaired)
            for owner, number, words, version, repaired in rows
        }

    def generations(self, owner_prefix: str) -> list[tuple[Generation, bool]]:
        """Return all generations of owners with a prefix, oldest first, and whether searches may read each.

        A generation is readable as soon as one of its versions has been published for a minute.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        rows = self._connection.query(
            f"SELECT owner, generation, any(words), "
            f"countIf(state = '{JournalEntry.PUBLISHED}' AND at < now64(3) - INTERVAL {SETTLED_S} SECOND) "
            f"FROM {self._table} WHERE startsWith(owner, {text_sql(owner_prefix)}) "
            "GROUP BY owner, generation ORDER BY generation"
        )
        return [(Generation(owner, number, words), count > 0) for owner, number, words, count in rows]

    def settled_version(self, generation: Generation, at_most: int) -> int | None:
        """Return the newest version, published a minute ago or earlier, up to ``at_most``.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        count, version = self._connection.row(
            f"SELECT count(), max(to_change) FROM {self._table} WHERE owner = {text_sql(generation.owner)} "
            f"AND generation = {generation.id} AND {_PUBLISHED} AND to_change <= {at_most} "
            f"AND at < now64(3) - INTERVAL {SETTLED_S} SECOND"
        )
        return version if count else None

    def write(self, generation: Generation, state: JournalEntry, from_change: int, to_change: int) -> None:
        """Add an entry.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        self._connection.insert(
            "batches",
            {
                "owner": [generation.owner],
                "generation": [generation.id],
                "words": [generation.words],
                "state": [state.value],
                "from_change": [from_change],
                "to_change": [to_change],
            },
        )

    def ask_for_repairs(self, generation: Generation, ranges: Sequence[tuple[int, int]]) -> None:
        """Ask the feeder to write ranges of pictures again, given by first and last insertion number.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        if not ranges:
            return
        start = time.time_ns()
        self._connection.insert(
            "repairs",
            {
                "generation": [generation.id] * len(ranges),
                "id": [start + i for i in range(len(ranges))],
                "first": [first for first, _ in ranges],
                "last": [last for _, last in ranges],
                "version": [0] * len(ranges),
            },
        )

    def pending_repairs(self, generation: Generation) -> list[Repair]:
        """Return the ranges that are to be written again, in the order of the requests.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        rows = self._connection.query(
            f"SELECT id, any(first), any(last) FROM {self._connection.database}.repairs "
            f"WHERE generation = {generation.id} GROUP BY id HAVING max(version) = 0 ORDER BY id"
        )
        return [Repair(*row) for row in rows]

    def end_repair(self, generation: Generation, repair: Repair, version: int) -> None:
        """Note that a range was written again at a version.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        self._connection.insert(
            "repairs",
            {
                "generation": [generation.id],
                "id": [repair.id],
                "first": [repair.first],
                "last": [repair.last],
                "version": [version],
            },
        )
