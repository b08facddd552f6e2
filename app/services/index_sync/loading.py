"""Load a collection's index from its snapshot and the newer feed entries, or from its rows."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import structlog

from app.domain.codes import codes_to_bytes
from app.domain.collections import CollectionRecord
from app.domain.errors import LookalikeError
from app.domain.perceptual import HASH_BITS, PERCEPTUAL_MODEL
from app.encoding.artifact import Artifact
from app.index.collection_index import CollectionIndex, ScanThreads
from app.index.descriptor_cache import DescriptorBudget
from app.remote.remote_index import RemoteIndex
from app.services.index_sync.kernels import Kernels
from app.services.index_sync.live_collection import FEED_BATCH, LiveCollection, apply_changes, ascending
from app.services.index_sync.missing_pictures import MissingPictures
from app.services.index_sync.remote_indexes import RemoteIndexes
from app.services.index_sync.snapshots import SnapshotName, Snapshots
from app.services.model_registry.models import Models
from app.store.pictures.feed import FeedPruned
from app.store.unit_of_work import ReadUnit

_log = structlog.get_logger()

COMPARED_CODES: Final = 256
"""Size of the samples, one of the snapshot and one of the database, that are compared after a load."""


class Loader:
    """Load collections for searching."""

    def __init__(
        self,
        models: Models,
        snapshots: Snapshots,
        kernels: Kernels,
        threads: ScanThreads,
        remote: RemoteIndexes,
        descriptors: DescriptorBudget,
    ) -> None:
        """Load codes of ``models``.

        Args:
            models: The models.
            snapshots: Indexes to load instead of the rows, if they are valid.
            kernels: The search kernels.
            threads: Threads of scans.
            remote: Indexes on another server.
            descriptors: Memory for descriptors of local indexes.
        """
        self._remote = remote
        self._descriptors = descriptors
        self._models = models
        self._kernels = kernels
        self._threads = threads
        self._snapshots = snapshots

    async def warm(self, records: Sequence[CollectionRecord]) -> None:
        """Compile kernels and load encoders, so that ``load`` does not wait for them inside a transaction.

        Ignore models that cannot be loaded; ``load`` reports them.
        """
        await asyncio.gather(self._kernels.ready(), self._load_models(records))

    async def _load_models(self, records: Sequence[CollectionRecord]) -> None:
        for model in sorted({record.model for record in records}):
            with suppress(LookalikeError):
                await self._models.serving(model)

    async def load(self, unit: ReadUnit, record: CollectionRecord) -> LiveCollection:
        """Load a collection as of the unit's snapshot of the database.

        Raises:
            UnknownModel: This process cannot find the collection's model.
            ArtifactRefused: The model does not reproduce its canary.
            IndexUnavailable: The server of its index does not answer, or does not hold it yet.
        """
        model = await self._models.serving(record.model)
        artifact = model.artifact
        await self._kernels.ready()
        start = time.perf_counter()
        live: LiveCollection | None
        if record.is_remote:
            live, source = await self._remote.load(unit, record, artifact), "engine"
        else:
            live, source = await self._from_snapshot(unit, record, artifact), "snapshot"
            if live is None:
                live, source = await load_from_rows(unit, record, artifact), "database"
        live.ranks_by_descriptor = model.ranks_by_descriptor
        self._prepare_local(live)
        _log.info(
            "index_loaded",
            collection=record.name,
            source=source,
            pictures=live.index.view().count,
            unsaved=live.unsaved,
            seconds=round(time.perf_counter() - start, 3),
        )
        return live

    async def check_remote(self) -> None:
        """Check that the server of indexes answers.

        Raises:
            IndexUnavailable: It does not, or the settings name none.
        """
        await self._remote.check()

    async def open_remote_hashes(self, unit: ReadUnit, record: CollectionRecord) -> RemoteIndex | None:
        """Open the perceptual hashes of a collection on another server; None if that holds none yet.

        Raises:
            IndexUnavailable: The server does not answer.
        """
        return await self._remote.open_hashes(unit, record)

    async def load_standby(self, unit: ReadUnit, record: CollectionRecord, model: str) -> LiveCollection:
        """Load a collection under a model that it may be switched to, as of the unit's snapshot.

        Always load from rows, and remove any snapshot of this model: the feed need not contain codes that were
        written while no process followed the model, so an older snapshot may lack them.

        Raises:
            UnknownModel: The model cannot be found or fetched.
            ArtifactRefused: The model is damaged, or does not reproduce its canary.
            Unavailable: The store of published models does not answer.
        """
        serving = await self._models.serving(model)
        await self._kernels.ready()
        if record.is_remote:
            live = await self._remote.load(unit, replace(record, model=model), serving.artifact)
            live.ranks_by_descriptor = serving.ranks_by_descriptor
            return live
        live = await load_from_rows(unit, replace(record, model=model), serving.artifact)
        live.ranks_by_descriptor = serving.ranks_by_descriptor
        self._prepare_local(live)
        await asyncio.to_thread(self._snapshots.remove, live.snapshot_name)
        return live

    def _prepare_local(self, live: LiveCollection) -> None:
        if live.local_index is not None:
            live.descriptors = self._descriptors.new_cache()
            live.local_index.use_threads(self._threads)
            live.hashes.use_threads(self._threads)

    async def catch_up(self, unit: ReadUnit, live: LiveCollection) -> None:
        """Bring an index up to the last change of the unit's snapshot.

        Raises:
            FeedPruned: The feed no longer contains the change after the index's version.
        """
        await catch_up(unit, live, live.index.view().version)

    async def _from_snapshot(
        self, unit: ReadUnit, record: CollectionRecord, artifact: Artifact
    ) -> LiveCollection | None:
        """Load from the snapshot; return None if it is missing or invalid."""
        name = SnapshotName.of(record, artifact.digest)
        index = await asyncio.to_thread(self._snapshots.open, name, artifact.bits)
        if index is None:
            return None
        hashes = await asyncio.to_thread(self._snapshots.open, SnapshotName.of_hashes(record), HASH_BITS)
        unsaved = 0
        if hashes is None:
            hashes = await _hashes_from_rows(unit, record)
            unsaved = hashes.view().count
        # Changes that one of the indexes contains already have no effect on it.
        version = min(index.view().version, hashes.view().version)
        live = LiveCollection(record, index, artifact.digest, hashes, snapshot_version=version, unsaved=unsaved)
        latest = await unit.feed.latest()
        try:
            if (
                max(index.view().version, hashes.view().version) <= latest
                and await catch_up(unit, live, version)
                and await _samples_match(unit, record.pk, record.model, index)
                and await _samples_match(unit, record.pk, PERCEPTUAL_MODEL, hashes)
            ):
                live.missing = MissingPictures(await unit.coverage.missing_numbers(record.pk, record.model))
                return live
            # Someone replaced the database by an older copy after the snapshot was saved.
            reason = "the database has another history"
        except FeedPruned as pruned:
            reason = str(pruned)
        await asyncio.to_thread(self._snapshots.refuse, SnapshotName.of_hashes(record), reason)
        await asyncio.to_thread(self._snapshots.refuse, name, reason)
        return None


async def load_from_rows(unit: ReadUnit, record: CollectionRecord, artifact: Artifact) -> LiveCollection:
    """Load the codes and perceptual hashes of a collection from the database."""
    numbers, codes = await unit.images.load_codes(record.pk, record.model, artifact.bits)
    index = CollectionIndex(artifact.bits)
    await asyncio.to_thread(index.load, numbers, codes, await unit.feed.latest())
    hashes = await _hashes_from_rows(unit, record)
    missing = MissingPictures(await unit.coverage.missing_numbers(record.pk, record.model))
    return LiveCollection(record, index, artifact.digest, hashes, missing=missing, unsaved=len(numbers))


async def _hashes_from_rows(unit: ReadUnit, record: CollectionRecord) -> CollectionIndex:
    numbers, codes = await unit.images.load_codes(record.pk, PERCEPTUAL_MODEL, HASH_BITS)
    hashes = CollectionIndex(HASH_BITS)
    await asyncio.to_thread(hashes.load, numbers, codes, await unit.feed.latest())
    return hashes


async def catch_up(unit: ReadUnit, live: LiveCollection, version: int) -> bool:
    """Apply the changes after ``version``; return False if the database's last change is before it.

    Raises:
        FeedPruned: The feed no longer contains the change after ``version``.
    """
    latest = await unit.feed.latest()
    while changes := await unit.feed.since(version, FEED_BATCH):
        version = changes[-1].change
        own = [c for c in changes if c.number is not None and c.collection_pk == live.record.pk]
        await apply_changes(unit, live, own, version)
    # The last change numbers may have no feed entry.
    await apply_changes(unit, live, [], max(version, latest))
    return version <= latest


async def _samples_match(unit: ReadUnit, pk: int, model: str, index: CollectionIndex) -> bool:
    """Compare samples of an index and of the database; return whether both have the same codes."""
    view = index.view()
    sample = view.sample_numbers(COMPARED_CODES).tolist()
    stored = await unit.images.codes_of(pk, model, sample)
    stored |= await unit.images.last_codes(pk, model, COMPARED_CODES)
    numbers, codes = view.codes_of(ascending([*stored, *set(sample).difference(stored)]))
    return stored == dict(zip(numbers.tolist(), codes_to_bytes(codes, view.bits), strict=True))
