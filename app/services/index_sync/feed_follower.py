"""Follow the change feed: load every collection once, then apply changes."""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog

from app.domain.changes import Change
from app.domain.collections import CollectionRecord
from app.domain.errors import (
    ArtifactRefused,
    IndexUnavailable,
    LookalikeError,
    StorageFull,
    StorageUnavailable,
    Unavailable,
    UnknownModel,
)
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.live_collection import FEED_BATCH, LiveCollection, apply_changes
from app.services.index_sync.loading import Loader
from app.services.index_sync.remote_indexes import catch_up_hashes
from app.services.index_sync.standbys import Standby, Standbys
from app.store.engine import Database
from app.store.pictures.feed import FeedPruned
from app.store.unit_of_work import ReadUnit
from app.telemetry.metrics import INDEX_SYNCED

_log = structlog.get_logger()

RETRY_S: Final = 10.0
"""Seconds between two attempts to load a collection whose model is unavailable."""
OPENING_RETRY_S: Final = 1
"""Seconds after which a caller may retry while an index on another server is being opened."""
_NOT_LOADED: Final = (ArtifactRefused, UnknownModel, StorageUnavailable, StorageFull)
"""Why a model may be unavailable in this process."""


class FeedFollower:
    """Apply the feed's changes, including this process's own, to the indexes of this process."""

    def __init__(
        self, database: Database, catalogue: CollectionCatalogue, standbys: Standbys, loader: Loader
    ) -> None:
        """Keep ``catalogue`` and ``standbys`` up to date with ``database``; ``loader`` loads new indexes."""
        self._database = database
        self._catalogue = catalogue
        self._standbys = standbys
        self._loader = loader
        self._lock = asyncio.Lock()
        self._retry_at = math.inf
        self._opening = asyncio.Lock()
        self._opened: dict[int, LiveCollection] = {}
        """Indexes on another server, by collection, that are opened and not served yet."""
        self._not_opened: dict[int, LookalikeError] = {}
        """Why the last attempt to open an index on another server failed, by collection."""
        self._open_at = math.inf
        """Time of the next attempt, by ``time.monotonic``."""
        self._notify_changed: Callable[[], object] = lambda: None
        self.load_count = 0
        """Number of complete loads: one at the start, and one after each restore."""
        self.up_to_date_at = 0.0
        """Time of the last successful read of the feed, by ``time.monotonic``."""
        self.keys_version = 0
        """Changes when a key may have changed or a session ended, in any process."""

    def on_change(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` too after each application of changes."""
        earlier = self._notify_changed

        def notify() -> None:
            earlier()
            callback()

        self._notify_changed = notify

    async def load(self) -> None:
        """Load every collection.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        async with self._database.read() as unit:
            records = await unit.collections.list_all()
        # Warming may take a minute; Postgres would end a transaction that is idle for so long.
        await self._loader.warm(records)
        async with self._opening:
            await self._open_remote(records)
        async with self._lock, self._database.read() as unit:
            await self._load_all(unit)
        self._catalogue.is_ready = True

    async def poll(self) -> None:
        """Apply new changes. During an outage, search continues with the loaded indexes."""
        try:
            async with self._lock:
                # Most polls find nothing; this statement costs a tenth of a transaction.
                if await self._database.lookups.latest_change() == self._catalogue.version:
                    self._note_up_to_date()
                else:
                    while await self._read_feed():
                        pass
                if time.monotonic() > self._retry_at:
                    async with self._database.read() as unit:
                        await self._refresh_collections(unit)
        except Unavailable as unavailable:
            _log.warning("feed_not_read", detail=unavailable.detail)

    async def open_remote(self) -> bool:
        """Open the indexes on another server that this process does not serve yet, and serve them.

        The server may answer slowly or never. So it is asked outside the lock, for which every write waits.

        Returns:
            Whether the server answers but does not hold one of them yet.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        async with self._opening:
            if time.monotonic() < self._open_at:
                return False
            async with self._database.read() as unit:
                records = [record for record in await unit.collections.list_all() if self._lacks(record)]
            answers = await self._open_remote(records)
            async with self._lock, self._database.read() as unit:
                await self._refresh_collections(unit)
            return answers and bool(self._not_opened)

    async def open_remote_hashes(self) -> bool:
        """Open the perceptual hashes on another server that its collections lack here.

        Returns:
            Whether the server does not hold some of them yet.

        Raises:
            IndexUnavailable: The server does not answer.
            DatabaseUnavailable: The database does not answer.
        """
        lives = (*self._catalogue.indexes_to_update(), *self._standbys.loaded())
        lacking = [live for live in lives if live.record.is_remote and live.remote_hashes is None]
        is_missing = False
        for live in lacking:
            async with self._database.read() as unit:
                hashes = await self._loader.open_remote_hashes(unit, live.record)
            if hashes is None:
                is_missing = True
                continue
            with suppress(FeedPruned):
                async with self.hold_at_latest() as unit:
                    await catch_up_hashes(unit, live.record.pk, hashes)
                    live.remote_hashes = hashes
        return is_missing

    def _lacks(self, record: CollectionRecord) -> bool:
        """Return whether a collection's index is on another server, and this process does not serve it."""
        live = self._catalogue.find(record.name)
        is_served = live is not None and live.record.pk == record.pk and live.record.model == record.model
        return record.is_remote and not is_served

    async def _open_remote(self, records: Sequence[CollectionRecord]) -> bool:
        """Open indexes on another server; return whether it answers."""
        self._opened.clear()
        self._not_opened.clear()
        self._open_at = math.inf
        remote = [record for record in records if record.is_remote]
        try:
            if remote:
                await self._loader.check_remote()
        except IndexUnavailable as failure:
            self._not_opened = dict.fromkeys((record.pk for record in remote), failure)
            self._open_at = 0.0
            return False
        for record in remote:
            try:
                async with self._database.read() as unit:
                    self._opened[record.pk] = await self._loader.load(unit, record)
            except (IndexUnavailable, *_NOT_LOADED) as failure:
                _log.warning(
                    "index_not_loaded", collection=record.name, model=record.model, detail=failure.detail
                )
                self._not_opened[record.pk] = failure
                retry_s = 0.0 if isinstance(failure, IndexUnavailable) else RETRY_S
                self._open_at = min(self._open_at, time.monotonic() + retry_s)
        return True

    async def catch_up(self, change: int) -> None:
        """Wait until the indexes contain every change up to number ``change``."""
        if self._catalogue.version >= change:
            return
        async with self._lock:
            while self._catalogue.version < change and await self._read_feed():
                pass

    async def catch_up_to_latest(self) -> None:
        """Wait until the indexes contain everything committed before this call; do nothing while they load."""
        if not self._catalogue.is_ready:
            return
        async with self._lock:
            while await self._read_feed():
                pass

    @asynccontextmanager
    async def hold_at_latest(self) -> AsyncIterator[ReadUnit]:
        """Open a read transaction that every index is current with; no index changes inside."""
        async with self._lock, self._database.read() as unit:
            while await self._apply_feed(unit):
                pass
            yield unit

    async def add_standby(self, standby: Standby, live: LiveCollection) -> None:
        """Bring a standby's index up to date, and keep it up to date with the others from now on.

        Raises:
            FeedPruned: The feed no longer contains the change after the index's version.
            DatabaseUnavailable: The database does not answer.
        """
        async with self.hold_at_latest() as unit:
            await self._loader.catch_up(unit, live)
            self._standbys.set_loaded(standby, live)

    async def _read_feed(self) -> bool:
        async with self._database.read() as unit:
            return await self._apply_feed(unit)

    async def _apply_feed(self, unit: ReadUnit) -> bool:
        """Apply the next changes of the unit's snapshot; return whether there were any."""
        try:
            changes = await unit.feed.since(self._catalogue.version, FEED_BATCH)
        except FeedPruned:
            _log.warning("feed_pruned", version=self._catalogue.version)
            self._opened.clear()  # perhaps of another history of the database
            await self._load_all(unit)
            return True
        if changes:
            await self._apply(unit, changes)
        self._note_up_to_date()
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
        for live in (*self._catalogue.indexes_to_update(), *self._standbys.loaded()):
            await apply_changes(unit, live, pictures[live.record.pk], version)
        self._catalogue.version = version
        self._catalogue.publish_version()
        self._notify_changed()

    def _note_up_to_date(self) -> None:
        self.up_to_date_at = time.monotonic()
        INDEX_SYNCED.set_to_current_time()

    async def _refresh_collections(self, unit: ReadUnit) -> None:
        records = await unit.collections.list_all()
        self._retry_at = math.inf
        self._catalogue.keep_only([record.name for record in records])
        not_loaded: dict[str, LookalikeError] = {}
        for record in records:
            live = self._catalogue.find(record.name)
            if live is not None and live.record.pk == record.pk and live.record.model == record.model:
                live.record = record
                continue
            replacement = self._standbys.pop_loaded(record) or await self._load(unit, record, not_loaded)
            if replacement is not None:
                self._catalogue.put(replacement)
        self._catalogue.set_not_loaded(not_loaded)
        self._standbys.update(records)

    async def _load_all(self, unit: ReadUnit) -> None:
        records = await unit.collections.list_all()
        self._retry_at = math.inf
        not_loaded: dict[str, LookalikeError] = {}
        # Searches use the old indexes until all new ones are loaded.
        loaded = [await self._load(unit, record, not_loaded) for record in records]
        self._catalogue.replace_all([live for live in loaded if live is not None])
        self._catalogue.set_not_loaded(not_loaded)
        self._standbys.update(records, reload=True)
        self._catalogue.version = await unit.feed.latest()
        self._note_up_to_date()
        self.load_count += 1
        # Changes of keys may be among those that a pruned feed no longer has.
        self.keys_version += 1
        self._catalogue.publish_version()
        self._notify_changed()

    async def _load(
        self, unit: ReadUnit, record: CollectionRecord, not_loaded: dict[str, LookalikeError]
    ) -> LiveCollection | None:
        """Load a collection; return None if it cannot be loaded here yet."""
        if record.is_remote:
            return await self._serve_opened(unit, record, not_loaded)
        try:
            return await self._loader.load(unit, record)
        except _NOT_LOADED as error:
            _log.error("collection_not_loaded", collection=record.name, model=record.model, detail=error.detail)
            not_loaded[record.name] = error
            self._retry_at = time.monotonic() + RETRY_S
            return None

    async def _serve_opened(
        self, unit: ReadUnit, record: CollectionRecord, not_loaded: dict[str, LookalikeError]
    ) -> LiveCollection | None:
        """Return an index that ``_open_remote`` opened, brought up to date; the server is not asked."""
        live = self._opened.pop(record.pk, None)
        if live is not None and live.record.model == record.model:
            with suppress(FeedPruned):
                await self._loader.catch_up(unit, live)
                live.record = record
                return live
        if record.pk not in self._not_opened:
            self._open_at = 0.0
        not_loaded[record.name] = self._not_opened.get(record.pk) or IndexUnavailable(
            "the collection's index is being opened", retry_after_s=OPENING_RETRY_S
        )
        return None
