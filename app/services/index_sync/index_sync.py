"""Load this process's indexes, keep them up to date with the database, and save them before exit."""

import contextlib
import time
from typing import Final

from app.domain.errors import IndexUnavailable, Unavailable
from app.index.collection_index import ScanThreads
from app.index.descriptor_cache import DescriptorBudget
from app.remote.connection import EngineConnection
from app.remote.remote_index import RemoteIndex
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.engine_feeder import EngineFeeder
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.filter_bitmaps import FilterBitmaps
from app.services.index_sync.kernels import Kernels
from app.services.index_sync.loading import Loader
from app.services.index_sync.remote_indexes import RemoteIndexes
from app.services.index_sync.snapshot_keeper import SnapshotKeeper
from app.services.index_sync.snapshots import Snapshots
from app.services.index_sync.standby_loading import StandbyLoader
from app.services.index_sync.standbys import Standbys
from app.services.index_sync.table_builder import TableBuilder
from app.services.model_registry.models import Models
from app.services.supervision import BackgroundTask, Supervisor
from app.store.engine import Database

STALE_S: Final = 30.0
"""Seconds without a successful read of the feed after which the index counts as stale."""
MISSED_POLLS: Final = 3
"""Number of poll intervals after which it counts as stale, if they are longer than ``STALE_S``."""

REMOTE_RETRY_S: Final = 2.0
"""Seconds between two attempts to follow a server of indexes that does not answer."""
TABLES_INTERVAL_S: Final = 5.0
"""Longest time until hash tables follow recent searches; changes of an index are followed at once."""


class IndexSync:
    """Create the parts of index synchronization and run them in the background."""

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
        descriptor_bytes: int = 0,
        connection: EngineConnection | None = None,
    ) -> None:
        """Follow ``database``.

        Args:
            database: The database whose feed to follow.
            supervisor: Runs the background tasks.
            models: Loads each collection's model before the collection is served.
            snapshots: Stores indexes for the next start.
            poll_interval_s: Seconds between two polls of the feed.
            snapshot_interval_s: Seconds between two checks whether a snapshot is due.
            scan_threads: Number of threads of one search among millions of pictures.
            descriptor_bytes: Memory for descriptors of found pictures.
            connection: Server for indexes outside this process; None if there is none.
        """
        self._supervisor = supervisor
        self._poll_interval_s = poll_interval_s
        self._snapshot_interval_s = snapshot_interval_s
        self._kernels = Kernels()
        self.remote: Final = RemoteIndexes(database, connection)
        self._feeder = None if connection is None else EngineFeeder(database, self.remote, connection)
        descriptors = DescriptorBudget(descriptor_bytes)
        loader = Loader(models, snapshots, self._kernels, ScanThreads(scan_threads), self.remote, descriptors)
        self.catalogue: Final = CollectionCatalogue()
        self.standbys: Final = Standbys()
        self.follower: Final = FeedFollower(database, self.catalogue, self.standbys, loader)
        self.filters: Final = FilterBitmaps(self.catalogue, self.follower)
        self._standby_loader = StandbyLoader(database, self.standbys, self.follower, loader)
        self._keeper = SnapshotKeeper(self.catalogue, snapshots)
        self._builder = TableBuilder(self.catalogue)
        self._loading: BackgroundTask | None = None
        self._following: BackgroundTask | None = None
        self._feeding: BackgroundTask | None = None
        self._is_remote_away = False
        self._tasks: list[BackgroundTask] = []

    @property
    def not_ready_reason(self) -> str | None:
        """Why the index is not loaded, or is stale; None if it is ready."""
        if not self.catalogue.is_ready or self._following is None:
            if self._loading is not None and self._loading.failure is not None:
                return f"loading the index failed and will be retried: {self._loading.failure}"
            return "the index is still loading"
        if self._following.failure is not None:
            return f"the index does not follow the database: {self._following.failure}"
        behind_s = time.monotonic() - self.follower.up_to_date_at
        if behind_s > max(STALE_S, MISSED_POLLS * self._poll_interval_s):
            return f"the index has not been compared with the database for {behind_s:.0f} s"
        return None

    def reached_change(self) -> int | None:
        """Return the change number up to which the indexes are current; None until they are loaded."""
        if not self.catalogue.is_ready:
            return None
        # Versions that searches read on another server stay there, and the changes after them in the feed.
        return min([self.catalogue.version, *(index.applied for index in self._remote_indexes())])

    def _remote_indexes(self) -> list[RemoteIndex]:
        served = (*self.catalogue.indexes_to_update(), *self.standbys.loaded())
        return [index for live in served for index in live.remote_indexes]

    async def _follow_remote(self) -> float | None:
        """Open and follow the indexes on another server.

        A feeder that failed pauses for up to half a minute. It is woken if the server answers again, or answers
        and lacks something.
        """
        must_feed = await self.follower.open_remote()
        with contextlib.suppress(IndexUnavailable):  # ``follow`` finds the same
            must_feed |= await self.follower.open_remote_hashes()
        indexes = self._remote_indexes()
        try:
            holds_all = await self.remote.follow(
                indexes, lambda: min(index.view().version for index in indexes)
            )
        except IndexUnavailable:
            if not await self.remote.answers():
                self._is_remote_away = True
                return REMOTE_RETRY_S
            holds_all = False  # nor its tables
        if self._feeder is not None and self._feeding is not None:
            if not holds_all:
                self._feeder.doubt()
            if must_feed or not holds_all or self._is_remote_away:
                self._feeding.wake()
        self._is_remote_away = False
        return None

    def load_in_background(self) -> BackgroundTask:
        """Run ``start`` in the background; retry it until it succeeds."""
        self._loading = self._supervisor.run("index loading", self.start)
        return self._loading

    async def start(self) -> None:
        """Load every collection and start to follow the feed.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        await self.follower.load()
        repeat = self._supervisor.repeat
        building = repeat("table builder", self._builder.build, every_s=TABLES_INTERVAL_S, finishes_turn=True)
        loading = repeat("model loading", self._standby_loader.load, every_s=None)

        async def keep_snapshots() -> None:
            await self._keeper.update()
            # An index whose codes were replaced by a snapshot's pages may need its tables rebuilt.
            building.wake()

        keeping = repeat(
            "snapshot keeper", keep_snapshots, every_s=self._snapshot_interval_s, finishes_turn=True
        )
        self._following = repeat(
            "feed follower", self.follower.poll, every_s=self._poll_interval_s, at_once=False
        )
        self._tasks = [self._following, loading, keeping, building]
        self.follower.on_change(building.wake)
        self._tasks.append(repeat("index engine follower", self._follow_remote, every_s=self._poll_interval_s))
        if self._feeder is not None:
            self._feeding = repeat(
                "index engine feeder", self._feeder.turn, every_s=self._poll_interval_s, finishes_turn=True
            )
            self._tasks.append(self._feeding)
            self.follower.on_change(self._feeding.wake)
        self.standbys.on_added(loading.wake)

    async def close(self) -> None:
        """Stop following the feed and save changed indexes."""
        if self._loading is not None:
            # Before its compiler ends, which it would otherwise replace.
            await self._loading.stop()
        for task in self._tasks:
            await task.stop()
        if self._feeder is not None:
            with contextlib.suppress(Unavailable):
                await self._feeder.close()
        await self._kernels.close()
        if self.catalogue.is_ready:
            await self._keeper.save_before_exit()
