"""Open the indexes that a server holds, and follow how far it has written them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from app.domain.codes import codes_to_bytes
from app.domain.collections import CollectionRecord
from app.domain.errors import IndexUnavailable
from app.domain.perceptual import HASH_BITS, PERCEPTUAL_DIGEST, PERCEPTUAL_MODEL
from app.encoding.artifact import Artifact
from app.remote.connection import RETRY_AFTER_S, EngineConnection
from app.remote.journal import Journal, JournalEntry, Published
from app.remote.remote_index import RemoteIndex
from app.remote.schema import migrate
from app.services.index_sync.live_collection import (
    FEED_BATCH,
    LiveCollection,
    apply_changes,
    apply_hash_changes,
    ascending,
)
from app.services.index_sync.missing_pictures import MissingPictures
from app.services.index_sync.snapshots import SnapshotName
from app.store.engine import Database
from app.store.pictures.feed import FeedPruned
from app.store.unit_of_work import ReadUnit

COMPARED_CODES: Final = 256
"""Codes of the newest pictures that are compared with the database before an index is used."""

SERVICE_SECRET: Final = "index_engine"  # noqa: S105 - its name
"""Name of the secret from which the owners of this service's rows in the engine are derived."""


_log = structlog.get_logger()


class RemoteIndexes:
    """Opens indexes on the engine, if the settings name one."""

    def __init__(self, database: Database, connection: EngineConnection | None) -> None:
        """Use the engine at ``connection``."""
        self._database = database
        self._connection = connection
        self._service: str | None = None

    @property
    def connection(self) -> EngineConnection | None:
        """The engine; None if the settings name none."""
        return self._connection

    async def prepare(self) -> None:
        """Create the tables unless they exist.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        if self._connection is not None:
            await asyncio.to_thread(migrate, self._connection)

    async def owner_prefix(self) -> str:
        """Return the start of the owners of this service's rows, as a server may hold those of others."""
        if self._service is None:
            async with self._database.read() as unit:
                secret = await unit.secrets.get(SERVICE_SECRET)
            if secret is None:
                async with self._database.write() as writing:
                    secret = await writing.secrets.get_or_create(SERVICE_SECRET)
            self._service = f"{secret[:8].hex()}: "
        return self._service

    async def owner_of(self, record: CollectionRecord, model_digest: str) -> str:
        """Return the owner of a collection's rows under a model."""
        return await self.owner_prefix() + SnapshotName.of(record, model_digest).owner

    async def load(self, unit: ReadUnit, record: CollectionRecord, artifact: Artifact) -> LiveCollection:
        """Open a collection's index, and apply the changes that the engine lacks.

        Raises:
            IndexUnavailable: The engine does not answer, or does not hold the index yet.
        """
        connection = self.configured()
        owner, latest = await self.owner_of(record, artifact.digest), await unit.feed.latest()
        journal = Journal(connection)
        found = (await asyncio.to_thread(journal.published, [owner], latest)).get(owner)
        if found is None:
            raise _being_written()
        generation, applied = found.generation, found.version
        index = await asyncio.to_thread(RemoteIndex.open, connection, generation, applied, artifact.bits)
        live = LiveCollection(record, index, artifact.digest)
        try:
            await self._catch_up(unit, live, index, latest)
        except FeedPruned as pruned:
            raise _being_written() from pruned
        live.missing = MissingPictures(await unit.coverage.missing_numbers(record.pk, record.model))
        if not await self._has_newest(unit, record, record.model, index, found):
            raise _being_written()
        live.remote_hashes = await self.open_hashes(unit, record)
        return live

    async def open_hashes(self, unit: ReadUnit, record: CollectionRecord) -> RemoteIndex | None:
        """Open the perceptual hashes of a collection; return None if the engine does not hold them yet.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        connection = self.configured()
        owner, latest = await self.owner_of(record, PERCEPTUAL_DIGEST), await unit.feed.latest()
        found = (await asyncio.to_thread(Journal(connection).published, [owner], latest)).get(owner)
        if found is None:
            return None
        hashes = RemoteIndex(connection, found.generation, found.version, 0, HASH_BITS)
        try:
            await catch_up_hashes(unit, record.pk, hashes)
        except FeedPruned:
            return None
        return hashes if await self._has_newest(unit, record, PERCEPTUAL_MODEL, hashes, found) else None

    async def _has_newest(
        self, unit: ReadUnit, record: CollectionRecord, model: str, index: RemoteIndex, found: Published
    ) -> bool:
        """Return whether an index has the database's newest codes; if not, have everything written again."""
        stored = await unit.images.last_codes(record.pk, model, COMPARED_CODES)
        numbers, codes = await asyncio.to_thread(index.view().codes_of, ascending(list(stored)))
        if stored == dict(zip(numbers.tolist(), codes_to_bytes(codes, index.bits), strict=True)):
            return True
        _log.error("index_engine_differs", collection=record.name, model=model)
        journal, version = Journal(self.configured()), found.version
        await asyncio.to_thread(journal.write, found.generation, JournalEntry.REFILL, version, version)
        return False

    async def check(self) -> None:
        """Check that the engine answers.

        Raises:
            IndexUnavailable: It does not, or the settings name none.
        """
        await asyncio.to_thread(self.configured().query, "SELECT 1")

    async def answers(self) -> bool:
        """Return whether the engine answers, regardless of its contents."""
        try:
            await self.check()
        except IndexUnavailable:
            return False
        return True

    def configured(self) -> EngineConnection:
        """Return the engine.

        Raises:
            IndexUnavailable: The settings name none.
        """
        if self._connection is None:
            raise IndexUnavailable(
                "the collection's index is on ClickHouse; set LOOKALIKE_CLICKHOUSE_URL to serve it",
                retry_after_s=RETRY_AFTER_S,
            )
        return self._connection

    async def follow(self, indexes: Sequence[RemoteIndex], version: Callable[[], int]) -> bool:
        """Let indexes read the newest versions of the engine, up to that of this process.

        Returns:
            Whether the engine holds all of them.

        Raises:
            IndexUnavailable: The engine does not answer.
        """
        if self._connection is None or not indexes:
            return True
        owners = [index.owner for index in indexes]
        newest = await asyncio.to_thread(Journal(self._connection).published, owners, version())
        for index in indexes:
            if index.owner in newest:
                found = newest[index.owner]
                await asyncio.to_thread(index.advance, found.generation, found.version, found.repaired)
                await asyncio.to_thread(index.recount)
        return newest.keys() >= set(owners)

    async def _catch_up(self, unit: ReadUnit, live: LiveCollection, index: RemoteIndex, latest: int) -> None:
        version = index.applied
        while changes := await unit.feed.since(version, FEED_BATCH):
            version = changes[-1].change
            own = [c for c in changes if c.number is not None and c.collection_pk == live.record.pk]
            numbers = sorted({c.number for c in own if c.number is not None and c.number <= index.applied})
            # Whether a picture had a code at the engine's version is not in the database any more.
            lacking = await asyncio.to_thread(index.lacking, numbers)
            live.missing = MissingPictures(dict.fromkeys(lacking))
            await apply_changes(unit, live, own, version)
        await apply_changes(unit, live, [], max(version, latest))


async def catch_up_hashes(unit: ReadUnit, collection_pk: int, hashes: RemoteIndex) -> None:
    """Apply the changes after the version of an index of perceptual hashes.

    Raises:
        FeedPruned: The feed no longer contains the change after that version.
    """
    version, latest = hashes.view().version, await unit.feed.latest()
    while changes := await unit.feed.since(version, FEED_BATCH):
        version = changes[-1].change
        own = [c for c in changes if c.number is not None and c.collection_pk == collection_pk]
        await apply_hash_changes(unit, collection_pk, hashes, own, version)
    await apply_hash_changes(unit, collection_pk, hashes, [], max(version, latest))


def _being_written() -> IndexUnavailable:
    return IndexUnavailable(
        "the collection's codes are being written to the index engine", retry_after_s=RETRY_AFTER_S
    )
