"""Write the changes of collections to the server that holds their indexes; one process does it for all.

A turn writes, for each such collection, the changes since the last turn: of its codes under each model that
searches or a switch may use, and of its perceptual hashes. A generation starts from the database's rows: of a
new collection, of a model that is being warmed, after a restore, or when the server has lost it.
"""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from app.domain.changes import Change, ChangeKind
from app.domain.codes import words_for
from app.domain.collections import CollectionRecord
from app.domain.errors import IndexUnavailable
from app.domain.perceptual import HASH_BITS, PERCEPTUAL_DIGEST, PERCEPTUAL_MODEL
from app.remote.connection import EngineConnection
from app.remote.filters import term_arrays
from app.remote.journal import Generation, Repair, WriteProgress
from app.remote.schema import migrate
from app.remote.writer import PictureRows, RepairedRows, Writer
from app.services.index_sync.live_collection import relevant_changes
from app.services.index_sync.remote_indexes import RemoteIndexes
from app.store.engine import Database
from app.store.pictures.feed import FeedPruned
from app.store.unit_of_work import ReadUnit

_log = structlog.get_logger()

TASK: Final = "index engine feeder"
LEASE_S: Final = 60.0
"""Lease length in seconds; twice the longest deadline of a statement, so that none outlives it."""
RENEW_S: Final = 20.0
"""Seconds after which the lease is extended."""
BATCH: Final = 20_000
"""Changes of one batch."""
FILL_BATCH: Final = 10_000
"""Pictures read and inserted at a time while a generation is filled."""
PUBLISH_EVERY: Final = 1_000
"""Changes of other collections after which a version is published, so that the feed can be pruned."""
COMPACT_FROM: Final = 5_000
"""Entries of changed pictures from which they are compacted."""
TIDY_EVERY_S: Final = 30.0
"""Seconds between two searches for generations to drop and entries to compact."""


@dataclass(frozen=True, slots=True)
class _Fed:
    """A collection under one model, as it is fed."""

    owner: str
    record: CollectionRecord
    model: str
    """``PERCEPTUAL_MODEL`` for its perceptual hashes, which have no metadata in the engine."""
    bits: int


class EngineFeeder:
    """Feeds the engine while it holds the lease."""

    def __init__(self, database: Database, remote: RemoteIndexes, connection: EngineConnection) -> None:
        """Feed the collections of ``database`` to the engine at ``connection``."""
        self._database = database
        self._remote = remote
        self._connection = connection
        self._writer = Writer(connection)
        self._id = secrets.token_hex(8)
        self._leased_until = 0.0
        self._is_migrated = False
        self._progress: dict[str, WriteProgress] = {}
        self._filled: dict[Generation, int] = {}
        """Insertion number up to which pictures were read for a fill."""
        self._read: dict[str, int] = {}
        """Change number up to which each owner's feed was read without finding anything to write."""
        self._repairs: dict[Generation, list[Repair]] = {}
        """Ranges of pictures that are to be written again."""
        self._tidy_at = 0.0
        self._is_untidy = False
        """Whether the engine may hold rows of collections that were deleted."""

    def doubt(self) -> None:
        """Let the next turn look at what the engine holds, which may have lost its data."""
        self._is_migrated = False
        self._tidy_at = 0.0

    async def turn(self) -> float | None:
        """Write what is due.

        Returns:
            0.0 if more is due, otherwise None.

        Raises:
            IndexUnavailable: The engine does not answer.
            DatabaseUnavailable: The database does not answer.
        """
        async with self._database.read() as unit:
            records = [record for record in await unit.collections.list_all() if record.is_remote]
        self._is_untidy |= bool(records)
        if not self._is_untidy or not await self._holds_lease():
            self._progress.clear()
            return None
        try:
            if not self._is_migrated:
                await asyncio.to_thread(migrate, self._connection)
                self._is_migrated = True
                self._progress.clear()
            fed = await self._fed(records)
            is_more_due = False
            for one in fed:
                is_more_due |= await self._feed(one)
            if time.monotonic() > self._tidy_at or not records:
                await self._tidy({one.owner for one in fed})
                self._tidy_at = time.monotonic() + TIDY_EVERY_S
                self._is_untidy = bool(records)
                is_more_due |= any(self._repairs.values())
        except IndexUnavailable:
            # The engine may come back without its data.
            self._is_migrated = False
            self._progress.clear()
            self._read.clear()
            self._filled.clear()
            self._repairs.clear()
            raise
        self._progress = {one.owner: self._progress[one.owner] for one in fed if one.owner in self._progress}
        return 0.0 if is_more_due else None

    async def close(self) -> None:
        """Give up the lease, so that another process can feed at once."""
        if self._leased_until > time.monotonic():
            async with self._database.write() as unit:
                await unit.task_leases.give_up(TASK, self._id)

    async def _holds_lease(self) -> bool:
        if time.monotonic() < self._leased_until - (LEASE_S - RENEW_S):
            return True
        now = time.monotonic()
        async with self._database.write() as unit:
            is_held = await unit.task_leases.take(TASK, self._id, LEASE_S)
        if is_held and self._leased_until < now:
            # Another process may have written meanwhile.
            self._progress.clear()
            self._read.clear()
        self._leased_until = now + LEASE_S if is_held else 0.0
        return is_held

    async def _fed(self, records: Sequence[CollectionRecord]) -> list[_Fed]:
        async with self._database.read() as unit:
            models = {model.name: model for model in await unit.models.list()}
        fed = []
        for record in records:
            # First: once searches are answered, additions can be compared with what is stored.
            hashes = await self._remote.owner_of(record, PERCEPTUAL_DIGEST)
            fed.append(_Fed(hashes, record, PERCEPTUAL_MODEL, HASH_BITS))
            fed += [
                _Fed(await self._remote.owner_of(record, models[name].digest), record, name, models[name].bits)
                for name in record.indexed_models
            ]
        return fed

    async def _feed(self, fed: _Fed) -> bool:
        """Do a bounded part of what is due for one owner; return whether more is."""
        progress = self._progress.get(fed.owner) or await asyncio.to_thread(
            self._writer.journal.progress, fed.owner
        )
        if progress is None or progress.needs_refill:
            return await self._begin(fed)
        self._progress[fed.owner] = progress
        if progress.written is None:
            return await self._fill(fed, progress)
        try:
            return await self._write_changes(fed, progress, progress.written)
        except FeedPruned as pruned:
            _log.warning("index_engine_refill", collection=fed.record.name, reason=str(pruned))
            return await self._begin(fed)

    async def _begin(self, fed: _Fed) -> bool:
        async with self._database.read() as unit:
            latest = await unit.feed.latest()
        self._read.pop(fed.owner, None)
        self._progress[fed.owner] = await asyncio.to_thread(
            self._writer.begin_generation, fed.owner, words_for(fed.bits), latest
        )
        _log.info("index_engine_filling", collection=fed.record.name, model=fed.model, change=latest)
        return True

    async def _fill(self, fed: _Fed, progress: WriteProgress) -> bool:
        after = self._filled.get(progress.generation)
        if after is None:
            after = await asyncio.to_thread(self._writer.filled_up_to, progress.generation)
        async with self._database.read() as unit:
            images = await unit.images.page(fed.record.pk, after, FILL_BATCH)
            numbers = [image.number for image in images if image.number <= progress.filled_from]
            rows = await _rows(unit, fed, numbers, dict.fromkeys(numbers, progress.filled_from))
        await asyncio.to_thread(self._writer.fill, progress.generation, fed.bits, rows)
        if len(numbers) == FILL_BATCH:
            self._filled[progress.generation] = numbers[-1]
            return True
        await asyncio.to_thread(self._writer.end_fill, progress)
        self._filled.pop(progress.generation, None)
        del self._progress[fed.owner]
        _log.info("index_engine_filled", collection=fed.record.name, model=fed.model)
        return True

    async def _write_changes(self, fed: _Fed, progress: WriteProgress, start: int) -> bool:
        repair = next(iter(self._repairs.get(progress.generation, [])), None)
        if repair is not None:
            await self._take_version(fed)
        async with self._database.read() as unit:
            latest = await unit.feed.latest()
            if latest < start:
                raise FeedPruned("the database has another history than the index engine")
            changes = await unit.feed.since(max(start, self._read.get(fed.owner, 0)), BATCH)
            end = changes[-1].change if len(changes) == BATCH else latest
            if progress.begun is not None:
                end = progress.begun
                changes = [change for change in changes if change.change <= end]
            own = [c for c in changes if c.number is not None and c.collection_pk == fed.record.pk]
            by_number: dict[int, list[Change]] = defaultdict(list)
            for change in relevant_changes(own, fed.model):
                by_number[change.number or 0].append(change)
            is_published = progress.published is not None and progress.published == start
            if repair is None and not by_number and is_published and end - start < PUBLISH_EVERY:
                self._read[fed.owner] = end
                return end < latest
            fresh = {number for number, found in by_number.items() if _is_fresh(number, found)}
            added = {number: number if number in fresh else end for number in by_number}
            rows = await _rows(unit, fed, sorted(by_number), added)
            repaired = None
            if repair is not None:
                repaired = await self._repaired(unit, fed, progress.generation, repair, by_number, start, end)
        gone = sorted(by_number.keys() - fresh)
        await asyncio.to_thread(
            self._writer.write_batch,
            progress.generation,
            fed.bits,
            (start, end),
            rows,
            gone,
            is_exact=end == latest,
            repaired=repaired,
        )
        if repair is not None:
            await asyncio.to_thread(self._writer.journal.end_repair, progress.generation, repair, end)
            self._repairs[progress.generation].remove(repair)
            _log.info("index_engine_repaired", collection=fed.record.name, first=repair.first, last=repair.last)
        self._progress[fed.owner] = WriteProgress(
            progress.generation,
            progress.filled_from,
            written=end,
            published=end if end == latest else progress.published,
            begun=None,
            needs_refill=False,
        )
        self._read.pop(fed.owner, None)
        return end < latest or bool(self._repairs.get(progress.generation))

    async def _take_version(self, fed: _Fed) -> None:
        """Take a change number, as rows of a published version must not change."""
        async with self._database.write() as unit:
            record = await unit.collections.by_pk(fed.record.pk)
            if record is not None:
                await unit.collections.update(record.pk, description=record.description)

    async def _repaired(
        self,
        unit: ReadUnit,
        fed: _Fed,
        generation: Generation,
        repair: Repair,
        changed: Container[int],
        start: int,
        end: int,
    ) -> RepairedRows:
        """Read the pictures of a range, without those that ``changed`` or were added after ``start``."""
        held = await asyncio.to_thread(self._writer.numbers_between, generation, repair.first, repair.last)
        images = await unit.images.page(fed.record.pk, repair.first - 1, FILL_BATCH)
        stored = [image.number for image in images if image.number <= repair.last]
        numbers = sorted(n for n in {*held, *stored} if n <= start and n not in changed)
        return RepairedRows(repair, await _rows(unit, fed, numbers, dict.fromkeys(numbers, end)), numbers)

    async def _tidy(self, owners: set[str]) -> None:
        """Drop generations that nothing reads, and compact the others; look for tables that were lost."""
        journal = self._writer.journal
        await asyncio.to_thread(migrate, self._connection)
        # Read it again: another process may have found a generation faulty, or the engine may have lost it.
        self._progress.clear()
        self._repairs.clear()
        async with self._database.read() as unit:
            slowest = await unit.processes.slowest_change()
        newest: set[str] = set()
        found = await asyncio.to_thread(journal.generations, await self._remote.owner_prefix())
        for generation, is_readable in reversed(found):
            if generation.owner not in owners or generation.owner in newest:
                await asyncio.to_thread(self._writer.drop, generation)
                _log.info("index_engine_dropped", owner=generation.owner)
                continue
            if not is_readable:
                continue  # searches may still read an older one
            newest.add(generation.owner)
            self._repairs[generation] = await asyncio.to_thread(journal.pending_repairs, generation)
            if slowest is None:
                continue
            version = await asyncio.to_thread(journal.settled_version, generation, slowest)
            if version is None:
                continue
            if await asyncio.to_thread(self._writer.gone_count, generation, version) >= COMPACT_FROM:
                await self._compact(generation, version)
        await asyncio.to_thread(self._writer.drop_orphans)

    async def _compact(self, generation: Generation, version: int) -> None:
        try:
            await asyncio.to_thread(self._writer.compact, generation, version)
        except IndexUnavailable as late:
            # Of many rows it may exceed the deadline; the engine goes on with it, and changes must be fed.
            _log.warning("index_engine_not_compacted", owner=generation.owner, detail=late.detail)
        else:
            _log.info("index_engine_compacted", owner=generation.owner, version=version)


def _is_fresh(number: int, changes: Sequence[Change]) -> bool:
    """Return whether a picture was added and did not change again, so that it has no earlier row."""
    return [(c.kind, c.change) for c in changes] == [(ChangeKind.IMAGE_PUT, number)]


async def _rows(unit: ReadUnit, fed: _Fed, numbers: Sequence[int], added: dict[int, int]) -> PictureRows:
    """Read those pictures that have a code, as they are in the unit's snapshot."""
    rows = PictureRows()
    if not numbers:
        return rows
    codes = await unit.images.codes_of(fed.record.pk, fed.model, numbers)
    images = await unit.images.by_numbers(fed.record.pk, sorted(codes))
    for number in sorted(images):
        terms, ranges = ([], []) if fed.model == PERCEPTUAL_MODEL else term_arrays(images[number].metadata)
        rows.numbers.append(number)
        rows.codes.append(codes[number])
        rows.added.append(added[number])
        rows.terms.append(terms)
        rows.ranges.append(ranges)
    return rows
