"""Follows the change feed: loads every collection once, then applies what has changed."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from app.domain.errors import ArtifactRefused, StorageFull, StorageUnavailable, Unavailable, UnknownModel
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.live_collection import FEED_BATCH, LiveCollection, apply_changes
from app.services.index_sync.loading import Loader
from app.services.index_sync.standbys import Standby, Standbys
from app.store.engine import Database
from app.store.feed import FeedPruned
from app.store.records import Change, CollectionRecord
from app.store.unit_of_work import ReadUnit

_log = structlog.get_logger()

RETRY_S: Final = 10.0
"""Between two attempts to load a collection whose model cannot be had."""


class FeedFollower:
    """The feed's reader of one process; the process's own changes reach the indexes through it too."""

    def __init__(
        self, database: Database, catalogue: CollectionCatalogue, standbys: Standbys, loader: Loader
    ) -> None:
        """Keep ``catalogue`` and ``standbys`` in step with ``database``; ``loader`` loads what is new."""
        self._database = database
        self._catalogue = catalogue
        self._standbys = standbys
        self._loader = loader
        self._lock = asyncio.Lock()
        self._retry_at = 0.0
        self._changed: Callable[[], object] = lambda: None
        self.loads = 0
        """How many times everything was loaded: at the start, and after each restore."""
        self.read_at = 0.0
        """When the index was last known to be up to date, by ``time.monotonic``."""
        self.keys_version = 0
        """Changes whenever a key was created or revoked, wherever that happened."""

    def on_change(self, changed: Callable[[], object]) -> None:
        """Have ``changed`` called whenever changes were applied."""
        self._changed = changed

    async def load(self) -> None:
        """Load every collection.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        async with self._database.read() as unit:
            records = await unit.collections.list_all()
        # What may take a minute comes first: Postgres ends a transaction that waits for its next statement.
        await self._loader.warm(records)
        async with self._lock, self._database.read() as unit:
            await self._load_all(unit)
        self._catalogue.is_ready = True

    async def poll(self) -> None:
        """Apply what has changed since the last time. Search goes on with what is loaded during an outage."""
        try:
            async with self._lock:
                while await self._read_feed():
                    pass
                if self._catalogue.has_gaps and time.monotonic() > self._retry_at:
                    async with self._database.read() as unit:
                        await self._refresh_collections(unit)
                    self._catalogue.publish_metrics()
        except Unavailable as unavailable:
            _log.warning("feed_not_read", detail=unavailable.detail)

    async def catch_up(self, change: int) -> None:
        """Return once the indexes hold every change up to number ``change``."""
        if self._catalogue.version >= change:
            return
        async with self._lock:
            while self._catalogue.version < change and await self._read_feed():
                pass

    async def catch_up_with_all(self) -> None:
        """Return once the indexes hold all that was committed before this call; at once while they load."""
        if not self._catalogue.is_ready:
            return
        async with self._lock:
            while await self._read_feed():
                pass

    @asynccontextmanager
    async def up_to_date(self) -> AsyncIterator[ReadUnit]:
        """A snapshot of the database at which every index stands; none of them moves on inside."""
        async with self._lock, self._database.read() as unit:
            while await self._apply_feed(unit):
                pass
            yield unit

    async def admit(self, standby: Standby, live: LiveCollection) -> None:
        """Bring the index of a standby to where the others stand; from then on it follows the feed with them.

        Raises:
            FeedPruned: The feed no longer reaches back to where it stands.
            DatabaseUnavailable: The database does not answer.
        """
        async with self.up_to_date() as unit:
            await self._loader.follow(unit, live)
            self._standbys.put(standby, live)

    async def _read_feed(self) -> bool:
        async with self._database.read() as unit:
            return await self._apply_feed(unit)

    async def _apply_feed(self, unit: ReadUnit) -> bool:
        """Apply the next changes of one snapshot; whether there were any."""
        try:
            changes = await unit.feed.since(self._catalogue.version, FEED_BATCH)
        except FeedPruned:
            _log.warning("feed_pruned", version=self._catalogue.version)
            await self._load_all(unit)
            return True
        if changes:
            await self._apply(unit, changes)
        self.read_at = time.monotonic()
        return bool(changes)

    async def _apply(self, unit: ReadUnit, changes: Sequence[Change]) -> None:
        pictures: dict[int, list[Change]] = defaultdict(list)
        for change in changes:
            if change.number is not None and change.collection_pk is not None:
                pictures[change.collection_pk].append(change)
        if any(change.kind.startswith("collection_") for change in changes):
            await self._refresh_collections(unit)
        if any(change.kind == "keys" for change in changes):
            self.keys_version += 1
        version = changes[-1].change
        for live in (*self._catalogue.followers(), *self._standbys.followers()):
            await apply_changes(unit, live, pictures[live.record.pk], version)
        self._catalogue.version = version
        self._catalogue.publish_metrics()
        self._changed()

    async def _refresh_collections(self, unit: ReadUnit) -> None:
        records = await unit.collections.list_all()
        self._catalogue.keep_only([record.name for record in records])
        not_loaded: dict[str, str] = {}
        for record in records:
            live = self._catalogue.find(record.name)
            if live is not None and live.record.pk == record.pk and live.record.model == record.model:
                live.record = record
                continue
            successor = self._standbys.take(record) or await self._load(unit, record, not_loaded)
            if successor is not None:
                self._catalogue.put(successor)
        self._catalogue.note_not_loaded(not_loaded)
        self._standbys.want(records)

    async def _load_all(self, unit: ReadUnit) -> None:
        records = await unit.collections.list_all()
        not_loaded: dict[str, str] = {}
        # Loaded aside, then published whole: searches go on with what was there.
        loaded = [await self._load(unit, record, not_loaded) for record in records]
        self._catalogue.replace_all([live for live in loaded if live is not None])
        self._catalogue.note_not_loaded(not_loaded)
        self._standbys.want(records, afresh=True)
        self._catalogue.version = await unit.feed.latest()
        self.read_at = time.monotonic()
        self.loads += 1
        self._catalogue.publish_metrics()
        self._changed()

    async def _load(
        self, unit: ReadUnit, record: CollectionRecord, not_loaded: dict[str, str]
    ) -> LiveCollection | None:
        """Load a collection; None where its model cannot be had here, which is tried again later."""
        try:
            return await self._loader.load(unit, record)
        except (ArtifactRefused, UnknownModel, StorageUnavailable, StorageFull) as error:
            _log.error("collection_not_loaded", collection=record.name, model=record.model, detail=error.detail)
            not_loaded[record.name] = error.detail
            self._retry_at = time.monotonic() + RETRY_S
            return None
