"""Loads a collection: from its snapshot and the feed's tail, or else from the rows of its codes."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import structlog

from app.domain.codes import codes_to_bytes
from app.domain.errors import LookalikeError
from app.encoding.artifact import Artifact
from app.index.collection_index import CollectionIndex, ScanThreads, warm_up
from app.services.index_sync.live_collection import FEED_BATCH, LiveCollection, apply_changes, ascending
from app.services.index_sync.snapshots import SnapshotName, Snapshots
from app.services.model_registry.models import Models
from app.store.feed import FeedPruned
from app.store.records import CollectionRecord
from app.store.unit_of_work import ReadUnit

_log = structlog.get_logger()

COMPARED_CODES: Final = 256
"""Codes of a snapshot that are compared with the database, and as many of the database with it."""


class Loader:
    """Makes collections ready to be searched."""

    def __init__(self, models: Models, snapshots: Snapshots, threads: ScanThreads) -> None:
        """Load codes of ``models``, from ``snapshots`` if they can be trusted, for ``threads`` to scan."""
        self._models = models
        self._threads = threads
        self._snapshots = snapshots

    async def warm(self, records: Sequence[CollectionRecord]) -> None:
        """Have kernels and encoders ready, so that ``load`` need not wait for them inside a transaction.

        A model that cannot be had is left for ``load`` to report.
        """
        await asyncio.to_thread(warm_up)
        for model in sorted({record.model for record in records}):
            with suppress(LookalikeError):
                await self._models.serving(model)

    async def load(self, unit: ReadUnit, record: CollectionRecord) -> LiveCollection:
        """The collection as it is in the unit's snapshot of the database, its model encoding.

        Raises:
            UnknownModel: The collection's model is not here.
            ArtifactRefused: It does not reproduce its canary.
        """
        artifact = (await self._models.serving(record.model)).artifact
        await asyncio.to_thread(warm_up)
        begun = time.perf_counter()
        live, source = await self._restored(unit, record, artifact), "snapshot"
        if live is None:
            live, source = await self._read(unit, record, artifact), "database"
        live.index.use_threads(self._threads)
        _log.info(
            "index_loaded",
            collection=record.name,
            source=source,
            pictures=live.index.view().count,
            unsaved=live.unsaved,
            seconds=round(time.perf_counter() - begun, 3),
        )
        return live

    async def load_standby(self, unit: ReadUnit, record: CollectionRecord, model: str) -> LiveCollection:
        """The collection under a model that it may be switched to, as it is in the unit's snapshot.

        Always from rows. While a model answers nowhere, codes may come under it of which the feed says nothing,
        so a snapshot of an earlier time is not to be trusted, neither here nor later.

        Raises:
            UnknownModel: The model is not here and cannot be fetched.
            ArtifactRefused: It is damaged, or does not reproduce its canary.
            Unavailable: The store that it is fetched from does not answer.
        """
        artifact = (await self._models.serving(model)).artifact
        await asyncio.to_thread(warm_up)
        live = await self._read(unit, replace(record, model=model), artifact)
        live.index.use_threads(self._threads)
        await asyncio.to_thread(self._snapshots.remove, live.snapshot_name)
        return live

    async def follow(self, unit: ReadUnit, live: LiveCollection) -> None:
        """Bring an index to the last change of the unit's snapshot.

        Raises:
            FeedPruned: The feed no longer reaches back to where the index stands.
        """
        await self._follow(unit, live, live.index.view().version)

    async def _read(self, unit: ReadUnit, record: CollectionRecord, artifact: Artifact) -> LiveCollection:
        numbers, codes = await unit.images.load_codes(record.pk, record.model, artifact.bits)
        index = CollectionIndex(artifact.bits)
        await asyncio.to_thread(index.load, numbers, codes, await unit.feed.latest())
        missing = await unit.coverage.missing_numbers(record.pk, record.model)
        return LiveCollection(record, index, artifact.digest, missing=missing, unsaved=len(numbers))

    async def _restored(
        self, unit: ReadUnit, record: CollectionRecord, artifact: Artifact
    ) -> LiveCollection | None:
        """From the snapshot; None where there is none to be trusted."""
        name = SnapshotName.of(record, artifact.digest)
        index = await asyncio.to_thread(self._snapshots.open, name, artifact.bits)
        if index is None:
            return None
        live = LiveCollection(record, index, artifact.digest, saved=index.view().version)
        try:
            if await self._follow(unit, live, live.saved) and await self._agrees(unit, live):
                live.missing = await unit.coverage.missing_numbers(record.pk, record.model)
                return live
            # An older copy of the database was put in the place of the one that it was taken of.
            reason = "the database has another history"
        except FeedPruned as pruned:
            reason = str(pruned)
        await asyncio.to_thread(self._snapshots.refuse, name, reason)
        return None

    async def _follow(self, unit: ReadUnit, live: LiveCollection, version: int) -> bool:
        """Apply what happened since ``version``; whether the database has come as far as that at all."""
        latest = await unit.feed.latest()
        while changes := await unit.feed.since(version, FEED_BATCH):
            version = changes[-1].change
            own = [c for c in changes if c.number is not None and c.collection_pk == live.record.pk]
            await apply_changes(unit, live, own, version)
        # Numbers taken last may have no entry.
        await apply_changes(unit, live, [], max(version, latest))
        return version <= latest

    async def _agrees(self, unit: ReadUnit, live: LiveCollection) -> bool:
        """Whether the index's codes, so far as a sample tells, are the database's, and none is missing."""
        pk, model, view = live.record.pk, live.record.model, live.index.view()
        sample = view.sample_numbers(COMPARED_CODES).tolist()
        stored = await unit.images.codes_of(pk, model, sample)
        stored |= await unit.images.last_codes(pk, model, COMPARED_CODES)
        numbers, codes = view.codes_of(ascending([*stored, *set(sample).difference(stored)]))
        return stored == dict(zip(numbers.tolist(), codes_to_bytes(codes, view.bits), strict=True))
