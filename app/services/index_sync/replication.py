"""Keeps this process's indexes in step with the database: load once, then follow the change feed."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import structlog

from app.domain.errors import (
    ArtifactRefused,
    IndexNotReady,
    StorageFull,
    StorageUnavailable,
    Unavailable,
    UnknownCollection,
    UnknownModel,
)
from app.domain.filters import Filter
from app.index.collection_index import ScanThreads
from app.services.index_sync.live_collection import FEED_BATCH, LiveCollection, apply_changes
from app.services.index_sync.loading import Loader
from app.services.index_sync.snapshots import RENEW_BEHIND, Snapshots
from app.services.index_sync.standbys import Standbys
from app.services.model_registry.models import Models
from app.services.supervision import BackgroundTask, Supervisor
from app.store.engine import Database
from app.store.feed import FeedPruned
from app.store.records import Change, CollectionRecord
from app.store.unit_of_work import ReadUnit
from app.telemetry.metrics import INDEX_BYTES, INDEX_VERSION, PICTURES

_log = structlog.get_logger()

RETIRED_S: Final = 30.0
"""How long the index of the model before a switch follows the feed, for searches that still hold it."""
STALE_S: Final = 30.0
"""An index that was not compared with the database for so many seconds is stale."""
MISSED_POLLS: Final = 3
"""Or, where polls are rarer, for so many of them."""
RETRY_S: Final = 10.0
"""Between two attempts to load a collection whose model is not to be had."""


class Replication:
    """The feed's reader of one process; its own changes reach the indexes through it too."""

    def __init__(
        self,
        database: Database,
        supervisor: Supervisor,
        models: Models,
        snapshots: Snapshots,
        *,
        poll_interval_s: float,
        snapshot_interval_s: float,
        scan_threads: int = 1,
    ) -> None:
        """Follow ``database``.

        Args:
            database: What to follow.
            supervisor: Runs what goes on in the background.
            models: Give each collection's code length, and are made ready before it is searched.
            snapshots: Where indexes are kept for the next start.
            poll_interval_s: How often to look for others' changes.
            snapshot_interval_s: How often to look whether a snapshot is due.
            scan_threads: Threads of one search among millions of pictures.
        """
        self._database = database
        self._supervisor = supervisor
        self._snapshots = snapshots
        self._loader = Loader(models, snapshots, ScanThreads(scan_threads))
        self.standbys: Final = Standbys(database, supervisor, self._loader, self._admit)
        self._retired: list[tuple[float, LiveCollection]] = []
        self._unloaded: dict[str, str] = {}
        self._retry_at = 0.0
        self._poll_interval_s = poll_interval_s
        self._snapshot_interval_s = snapshot_interval_s
        self._collections: dict[str, LiveCollection] = {}
        self._version = 0
        self._loads = 0
        self._measured: set[str] = set()  # collections that the metrics tell of
        self._ready = False
        self._lock = asyncio.Lock()
        self._read_at = 0.0
        self._loading: BackgroundTask | None = None
        self._follower: BackgroundTask | None = None
        self._keeper: BackgroundTask | None = None
        self._builder: BackgroundTask | None = None
        self.keys_version = 0
        """Changes whenever a key was created or revoked, wherever that happened."""

    @property
    def is_ready(self) -> bool:
        """Whether every collection is loaded."""
        return self._ready

    @property
    def not_ready_because(self) -> str | None:
        """Why searches cannot be answered, or only from an index that is behind; None where they can."""
        if not self._ready or self._follower is None:
            if self._loading is not None and self._loading.failure is not None:
                return f"the index could not be loaded and is tried again: {self._loading.failure}"
            return "the index is still being loaded"
        if self._follower.failure is not None:
            return f"the index does not follow the database: {self._follower.failure}"
        behind_s = time.monotonic() - self._read_at
        if behind_s > max(STALE_S, MISSED_POLLS * self._poll_interval_s):
            return f"the index has not been compared with the database for {behind_s:.0f} s"
        return None

    @property
    def version(self) -> int:
        """Change number that the indexes stand at."""
        return self._version

    def collection(self, name: str) -> LiveCollection:
        """The collection by that name.

        Raises:
            IndexNotReady: The indexes are still loading.
            UnknownCollection: There is none.
        """
        if not self._ready:
            raise IndexNotReady
        if name not in self._collections and name in self._unloaded:
            raise IndexNotReady(f"collection {name!r} cannot be served here: {self._unloaded[name]}")
        if name not in self._collections:
            raise UnknownCollection(f"there is no collection named {name!r}")
        return self._collections[name]

    def collections(self) -> Sequence[LiveCollection]:
        """Every collection, by name."""
        return [self._collections[name] for name in sorted(self._collections)]

    def load_in_background(self) -> BackgroundTask:
        """Load every collection and begin to follow the feed; tried again until it succeeds."""
        self._loading = self._supervisor.run("index loading", self.start)
        return self._loading

    async def start(self) -> None:
        """Load every collection and begin to follow the feed.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        async with self._database.read() as unit:
            records = await unit.collections.list_all()
        # What may take a minute comes first: Postgres ends a transaction that waits for its next statement.
        await self._loader.warm(records)
        async with self._lock, self._database.read() as unit:
            await self._load_all(unit)
        self._ready = True
        self._publish_metrics()
        self._builder = self._supervisor.repeat(
            "table builder", self._build_tables, every_s=None, finishes_turn=True
        )
        self._follower = self._supervisor.repeat(
            "feed follower", self._follow, every_s=self._poll_interval_s, at_once=False
        )
        self._keeper = self._supervisor.repeat(
            "snapshot keeper", self._keep_snapshots, every_s=self._snapshot_interval_s, finishes_turn=True
        )

    async def close(self) -> None:
        """Stop following, and save what is worth it."""
        for task in (self._follower, self._keeper, self._builder):
            if task is not None:
                await task.stop()
        if self._ready:
            await self._save(at_least=1, share=0.0005)

    async def catch_up(self, change: int) -> None:
        """Return once the indexes hold every change up to number ``change``."""
        if self._version >= change:
            return
        async with self._lock:
            while self._version < change and await self._read_feed():
                pass

    async def catch_up_with_all(self) -> None:
        """Return once the indexes hold all that was committed before this call; at once while they load."""
        if not self._ready:
            return
        async with self._lock:
            while await self._read_feed():
                pass

    async def ensure_filter(self, collection: LiveCollection, metadata_filter: Filter) -> str:
        """Have the index keep the rows that a filter allows, and return the filter's key.

        The rows are read in the same database snapshot as the changes before them, so that the bitmap and
        the codes always stand at one change number.

        Raises:
            InvalidFilter: A key of the filter holds objects only.
            IndexNotReady: The collection was switched to another model, long after ``collection`` was taken.
            FeedPruned: Everything was restored after it was taken: begin anew.
        """
        key = metadata_filter.key
        if collection.index.view().has_filter(key):
            return key
        async with self._lock:
            if collection.index.view().has_filter(key):
                return key
            loads = self._loads
            async with self._database.read() as unit:
                while await self._apply_feed(unit):
                    pass
                await unit.images.check_filter(collection.record.pk, metadata_filter)
                numbers = await unit.images.numbers_matching(collection.record.pk, metadata_filter)
            if self._loads != loads:
                raise FeedPruned("everything was loaded anew meanwhile")
            if collection.index.view().version != self._version:
                raise IndexNotReady("the collection has changed its model meanwhile; search again")
            await asyncio.to_thread(collection.index.put_filter, key, numbers, self._version)
            kept = set(collection.index.filter_keys())
            collection.filters = {k: f for k, f in collection.filters.items() if k in kept}
            collection.filters[key] = metadata_filter
        return key

    async def _follow(self) -> None:
        try:
            async with self._lock:
                while await self._read_feed():
                    pass
                if self._unloaded and time.monotonic() > self._retry_at:
                    async with self._database.read() as unit:
                        await self._refresh_collections(unit)
                    self._publish_metrics()
        except Unavailable as unavailable:
            # Search goes on with what is loaded; the next poll may succeed.
            _log.warning("feed_not_read", detail=unavailable.detail)

    async def _keep_snapshots(self) -> None:
        """Save what a start would otherwise have to read from rows."""
        await self._save(at_least=1_000, share=0.01)
        await self._share()
        await asyncio.to_thread(self._snapshots.sweep, [c.snapshot_name for c in self.collections()])

    async def _save(self, *, at_least: int, share: float) -> None:
        for live in self.collections():
            is_behind = 0 < live.saved < self._version - RENEW_BEHIND
            if live.unsaved < max(at_least, share * live.index.view().count) and not is_behind:
                continue
            unsaved, live.unsaved = live.unsaved, 0
            version = await asyncio.to_thread(
                self._snapshots.save, live.snapshot_name, live.index, newer_than=live.saved
            )
            if version is None:
                live.unsaved += unsaved
            else:
                live.saved = version

    async def _share(self) -> None:
        """Give up own copies of codes that a snapshot holds, whichever process saved it."""
        for live in self.collections():
            await asyncio.to_thread(self._snapshots.share, live.snapshot_name, live.index)
        self._have_tables_built()

    async def _read_feed(self) -> bool:
        async with self._database.read() as unit:
            return await self._apply_feed(unit)

    async def _apply_feed(self, unit: ReadUnit) -> bool:
        """Apply the next changes of one snapshot; whether there were any."""
        try:
            changes = await unit.feed.since(self._version, FEED_BATCH)
        except FeedPruned:
            _log.warning("feed_pruned", version=self._version)
            await self._load_all(unit)
            return True
        if not changes:
            self._read_at = time.monotonic()
            return False
        pictures: dict[int, list[Change]] = defaultdict(list)
        for change in changes:
            if change.number is not None and change.collection_pk is not None:
                pictures[change.collection_pk].append(change)
        if any(change.kind.startswith("collection_") for change in changes):
            await self._refresh_collections(unit)
        if any(change.kind == "keys" for change in changes):
            self.keys_version += 1
        version = changes[-1].change
        for collection in self._followers():
            await apply_changes(unit, collection, pictures[collection.record.pk], version)
        self._version = version
        self._read_at = time.monotonic()
        self._publish_metrics()
        self._have_tables_built()
        return True

    def _have_tables_built(self) -> None:
        """Have hash tables built where an index wants them; until they are there, it is scanned."""
        if self._builder is not None:
            self._builder.wake()

    async def _build_tables(self) -> float | None:
        """Build the tables of one index; the next turn comes at once where another one wants some."""
        for live in self.collections():
            if live.index.wants_engines:
                await asyncio.to_thread(live.index.build_engines)
                self._publish_metrics()
                return 0.0
        return None

    async def _refresh_collections(self, unit: ReadUnit) -> None:
        self._unloaded.clear()
        records = {record.name: record for record in await unit.collections.list_all()}
        for name in self._collections.keys() - records.keys():
            del self._collections[name]
        for name, record in records.items():
            live = self._collections.get(name)
            if live is not None and live.record.pk == record.pk and live.record.model == record.model:
                live.record = record
                continue
            successor = self.standbys.take(record) or await self._load(unit, record)
            if live is not None and live.record.pk == record.pk and successor is not None:
                self._retired.append((time.monotonic() + RETIRED_S, live))
            if successor is not None:
                self._collections[name] = successor
        self.standbys.want(list(records.values()))

    async def _load_all(self, unit: ReadUnit) -> None:
        records = await unit.collections.list_all()
        # Built aside, then published whole: searches go on with what was there.
        self._unloaded.clear()
        loaded = {record.name: await self._load(unit, record) for record in records}
        self._collections = {name: live for name, live in loaded.items() if live is not None}
        self._retired.clear()
        self.standbys.want(records, anew=True)
        self._version = await unit.feed.latest()
        self._read_at = time.monotonic()
        self._loads += 1
        self._publish_metrics()

    async def _load(self, unit: ReadUnit, record: CollectionRecord) -> LiveCollection | None:
        """Load a collection; None where its model is not to be had here, which is tried again later."""
        try:
            return await self._loader.load(unit, record)
        except (ArtifactRefused, UnknownModel, StorageUnavailable, StorageFull) as error:
            _log.error("collection_not_loaded", collection=record.name, model=record.model, detail=error.detail)
            self._unloaded[record.name] = error.detail
            self._retry_at = time.monotonic() + RETRY_S
            return None

    def _followers(self) -> list[LiveCollection]:
        """Every index that changes are applied to."""
        # Searches that began before a switch end on the index that they took.
        self._retired = [(until, live) for until, live in self._retired if until > time.monotonic()]
        retired = [live for _, live in self._retired]
        return [*self._collections.values(), *self.standbys.followers(), *retired]

    async def _admit(self, standby: LiveCollection) -> None:
        """Bring a standby to where the other indexes stand; from then on it follows the feed with them."""
        async with self._lock, self._database.read() as unit:
            while await self._apply_feed(unit):
                pass
            await self._loader.follow(unit, standby)
            self.standbys.put(standby)

    def _publish_metrics(self) -> None:
        INDEX_VERSION.set(self._version)
        for name in self._measured - self._collections.keys():
            PICTURES.remove(name)
            INDEX_BYTES.remove(name)
        self._measured = set(self._collections)
        for name, collection in self._collections.items():
            view = collection.index.view()
            PICTURES.labels(name).set(view.count)
            INDEX_BYTES.labels(name).set(view.nbytes)
