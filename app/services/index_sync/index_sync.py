"""The life of this process's indexes: loaded, kept in step with the database, saved at the end."""

import time
from typing import Final

from app.index.collection_index import ScanThreads
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.filter_bitmaps import FilterBitmaps
from app.services.index_sync.loading import Loader
from app.services.index_sync.snapshot_keeper import SnapshotKeeper
from app.services.index_sync.snapshots import Snapshots
from app.services.index_sync.standby_loading import StandbyLoader
from app.services.index_sync.standbys import Standbys
from app.services.index_sync.table_builder import TableBuilder
from app.services.model_registry.models import Models
from app.services.supervision import BackgroundTask, Supervisor
from app.store.engine import Database

STALE_S: Final = 30.0
"""An index that was not compared with the database for so many seconds is stale."""
MISSED_POLLS: Final = 3
"""Or, where polls are rarer, for so many of them."""


class IndexSync:
    """Makes the parts and runs them; services take the parts that they use."""

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
            poll_interval_s: Seconds between two looks for others' changes.
            snapshot_interval_s: Seconds between two looks whether a snapshot is due.
            scan_threads: Threads of one search among millions of pictures.
        """
        self._supervisor = supervisor
        self._poll_interval_s = poll_interval_s
        self._snapshot_interval_s = snapshot_interval_s
        loader = Loader(models, snapshots, ScanThreads(scan_threads))
        self.catalogue: Final = CollectionCatalogue()
        self.standbys: Final = Standbys()
        self.follower: Final = FeedFollower(database, self.catalogue, self.standbys, loader)
        self.filters: Final = FilterBitmaps(self.catalogue, self.follower)
        self._standby_loader = StandbyLoader(database, self.standbys, self.follower, loader)
        self._keeper = SnapshotKeeper(self.catalogue, snapshots)
        self._builder = TableBuilder(self.catalogue)
        self._loading: BackgroundTask | None = None
        self._following: BackgroundTask | None = None
        self._tasks: list[BackgroundTask] = []

    @property
    def not_ready_because(self) -> str | None:
        """Why searches cannot be answered, or only from an index that is behind; None where they can."""
        if not self.catalogue.is_ready or self._following is None:
            if self._loading is not None and self._loading.failure is not None:
                return f"the index could not be loaded and is tried again: {self._loading.failure}"
            return "the index is still being loaded"
        if self._following.failure is not None:
            return f"the index does not follow the database: {self._following.failure}"
        behind_s = time.monotonic() - self.follower.read_at
        if behind_s > max(STALE_S, MISSED_POLLS * self._poll_interval_s):
            return f"the index has not been compared with the database for {behind_s:.0f} s"
        return None

    def reached_change(self) -> int | None:
        """The change number that the indexes stand at; None until they are loaded."""
        return self.catalogue.version if self.catalogue.is_ready else None

    def load_in_background(self) -> BackgroundTask:
        """Load every collection and begin to follow the feed; tried again until it succeeds."""
        self._loading = self._supervisor.run("index loading", self.start)
        return self._loading

    async def start(self) -> None:
        """Load every collection and begin to follow the feed.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        await self.follower.load()
        repeat = self._supervisor.repeat
        building = repeat("table builder", self._builder.build, every_s=None, finishes_turn=True)
        loading = repeat("model loading", self._standby_loader.load, every_s=None)

        async def keep_snapshots() -> None:
            await self._keeper.keep()
            # An index that shares a snapshot's pages may want its tables built again.
            building.wake()

        keeping = repeat(
            "snapshot keeper", keep_snapshots, every_s=self._snapshot_interval_s, finishes_turn=True
        )
        self._following = repeat(
            "feed follower", self.follower.poll, every_s=self._poll_interval_s, at_once=False
        )
        self._tasks = [self._following, loading, keeping, building]
        self.follower.on_change(building.wake)
        self.standbys.on_want(loading.wake)

    async def close(self) -> None:
        """Stop following, and save what is worth it."""
        for task in self._tasks:
            await task.stop()
        if self.catalogue.is_ready:
            await self._keeper.save_at_the_end()
