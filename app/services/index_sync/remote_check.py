"""Compare indexes on another server with the database, and let the feeder write again what differs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from app.domain.codes import codes_from_bytes
from app.domain.collections import CollectionRecord
from app.domain.errors import IndexUnavailable
from app.domain.perceptual import HASH_BITS, PERCEPTUAL_DIGEST, PERCEPTUAL_MODEL
from app.remote.filters import term_arrays
from app.remote.fingerprints import fingerprints
from app.remote.journal import Journal, JournalEntry, Published
from app.remote.stored_codes import StoredCodes
from app.services.index_sync.live_collection import FEED_BATCH
from app.services.index_sync.remote_indexes import RemoteIndexes
from app.store.engine import Database
from app.store.pictures.feed import FeedPruned
from app.store.unit_of_work import ReadUnit

RANGE: Final = 10_000
"""Pictures whose rows are compared by one sum."""
MOST_REPAIRS: Final = 1_000
"""Maximum number of ranges to repair individually; with more differences, everything is written again."""
CLOSE: Final = 100
"""Largest distance of two insertion numbers that one repair covers together."""


class RemoteFault(StrEnum):
    """Kinds of differences between the server and the database."""

    UNAVAILABLE = "engine_unavailable"
    """The server does not answer, does not hold the index yet, or lags too far behind to be compared."""
    MISSING = "engine_row_missing"
    """The server lacks the code of a picture."""
    EXTRA = "engine_row_extra"
    """The server has a code of no picture, or finds one twice."""
    DIFFERS = "engine_row_differs"
    """The server has another code or other metadata of a picture."""


@dataclass(frozen=True, slots=True)
class RemoteCopy:
    """A collection under one model, as a server holds it."""

    record: CollectionRecord
    model: str
    bits: int
    owner: str


@dataclass(slots=True)
class RangeDifferences:
    """The differences in a range of pictures, by insertion number."""

    first: int
    last: int
    missing: list[int] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)
    different: list[int] = field(default_factory=list)
    is_last: bool = False

    @property
    def by_fault(self) -> dict[RemoteFault, list[int]]:
        """The numbers of the pictures of each kind of difference, without empty kinds."""
        found = {
            RemoteFault.MISSING: self.missing,
            RemoteFault.EXTRA: self.extra,
            RemoteFault.DIFFERS: self.different,
        }
        return {fault: numbers for fault, numbers in found.items() if numbers}


class RemoteCheck:
    """Compares and repairs the copies of collections on a server."""

    def __init__(self, database: Database, remote: RemoteIndexes) -> None:
        """Compare the server of ``remote`` with ``database``."""
        self._database = database
        self._remote = remote

    async def copies(self) -> list[RemoteCopy]:
        """Return what the server should hold: of each collection its models, then its perceptual hashes."""
        async with self._database.read() as unit:
            records = [record for record in await unit.collections.list_all() if record.is_remote]
            models = {model.name: model for model in await unit.models.list()}
        copies = []
        for record in sorted(records, key=lambda record: record.pk):
            indexed = [(name, models[name].bits, models[name].digest) for name in record.indexed_models]
            for name, bits, digest in (*indexed, (PERCEPTUAL_MODEL, HASH_BITS, PERCEPTUAL_DIGEST)):
                copies.append(RemoteCopy(record, name, bits, await self._remote.owner_of(record, digest)))
        return copies

    async def compare(self, copy: RemoteCopy, after: int) -> RangeDifferences:
        """Compare the next range of pictures after insertion number ``after``.

        Pictures that changed after the server's newest version are left out; searches read them from memory.

        Raises:
            IndexUnavailable: The server does not answer, or cannot be compared yet.
            DatabaseUnavailable: The database does not answer.
        """
        connection = self._remote.configured()
        async with self._database.read() as unit:
            latest = await unit.feed.latest()
            found = (await asyncio.to_thread(Journal(connection).published, [copy.owner], latest)).get(
                copy.owner
            )
            if found is None:
                raise IndexUnavailable("the index engine does not hold the collection yet")
            changed = await _changed_since(unit, copy.record.pk, found.version)
            images = await unit.images.page(copy.record.pk, after, RANGE)
            images = [image for image in images if image.number <= found.version]
            is_last = len(images) < RANGE
            last = found.version if is_last else images[-1].number
            compared = [image for image in images if image.number not in changed]
            codes = await unit.images.codes_of(copy.record.pk, copy.model, [image.number for image in compared])
        compared = [image for image in compared if image.number in codes]
        numbers = [image.number for image in compared]
        # Perceptual hashes have no metadata in the engine.
        is_hashes = copy.model == PERCEPTUAL_MODEL
        texts = [([], []) if is_hashes else term_arrays(image.metadata) for image in compared]
        prints = fingerprints(
            numbers,
            codes_from_bytes(b"".join(codes[number] for number in numbers), copy.bits),
            [terms for terms, _ in texts],
            [ranges for _, ranges in texts],
        )
        stored = StoredCodes(connection, found.generation, found.version)
        hidden = sorted(number for number in changed if after < number <= last)
        result = RangeDifferences(after + 1, last, is_last=is_last)
        held = await asyncio.to_thread(stored.fingerprint, after + 1, last, hidden=hidden)
        if held != (len(numbers), int(prints.sum(dtype=np.uint64))):
            rows = await asyncio.to_thread(stored.fingerprints, after + 1, last, hidden=hidden)
            _add_differences(result, dict(zip(numbers, prints.tolist(), strict=True)), rows)
        return result

    async def repair(self, copy: RemoteCopy, found: RangeDifferences) -> int:
        """Ask the feeder to write the differing pictures again, or everything if they are many.

        Returns:
            The number of differing pictures.

        Raises:
            IndexUnavailable: The server does not answer.
        """
        numbers = sorted({number for numbers in found.by_fault.values() for number in numbers})
        if not numbers:
            return 0
        journal = Journal(self._remote.configured())
        async with self._database.read() as unit:
            latest = await unit.feed.latest()
        held = (await asyncio.to_thread(journal.published, [copy.owner], latest)).get(copy.owner)
        if held is not None:
            await asyncio.to_thread(_ask, journal, held, _ranges(numbers))
        return len(numbers)


def _ask(journal: Journal, held: Published, ranges: Sequence[tuple[int, int]]) -> None:
    if len(journal.pending_repairs(held.generation)) + len(ranges) > MOST_REPAIRS:
        journal.write(held.generation, JournalEntry.REFILL, held.version, held.version)
    else:
        journal.ask_for_repairs(held.generation, ranges)


async def _changed_since(unit: ReadUnit, collection_pk: int, version: int) -> set[int]:
    changed: set[int] = set()
    try:
        while changes := await unit.feed.since(version, FEED_BATCH):
            version = changes[-1].change
            changed |= {c.number for c in changes if c.collection_pk == collection_pk and c.number is not None}
    except FeedPruned as pruned:
        raise IndexUnavailable("the index engine is too far behind the database to be compared") from pruned
    return changed


def _add_differences(
    result: RangeDifferences, expected: dict[int, int], rows: Sequence[tuple[int, int]]
) -> None:
    held: dict[int, list[int]] = {}
    for number, fingerprint in rows:
        held.setdefault(number, []).append(fingerprint)
    result.missing = sorted(expected.keys() - held.keys())
    result.extra = sorted(number for number in held if number not in expected or len(held[number]) > 1)
    result.different = sorted(
        number
        for number, fingerprint in expected.items()
        if number in held and held[number][0] != fingerprint and len(held[number]) == 1
    )


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Group ascending numbers that are close to each other into ranges, given by first and last."""
    ranges = [(numbers[0], numbers[0])]
    for number in numbers[1:]:
        first, last = ranges[-1]
        if number - last > CLOSE:
            ranges.append((number, number))
        else:
            ranges[-1] = first, number
    return ranges
