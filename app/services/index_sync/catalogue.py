"""The collections that this process serves, by name."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from app.domain.errors import IndexNotReady, IndexUnavailable, LookalikeError, UnknownCollection
from app.services.index_sync.live_collection import LiveCollection
from app.telemetry.collection_gauges import (
    COLLECTION_PICTURES,
    INDEX_BYTES,
    INDEX_CODES,
    INDEX_COVERAGE,
    SNAPSHOT_LAG,
    SNAPSHOT_SAVED,
    CollectionValues,
)
from app.telemetry.metrics import INDEX_VERSION

RETIRED_S: Final = 30.0
"""Seconds for which a replaced index is still updated, for searches that use it."""


class CollectionCatalogue:
    """Holds the loaded collections; only the feed follower changes it."""

    def __init__(self) -> None:
        """Start without collections."""
        self._collections: dict[str, LiveCollection] = {}
        self._not_loaded: dict[str, LookalikeError] = {}
        self._retired: list[tuple[float, LiveCollection]] = []
        self.is_ready = False
        """Whether the first load is complete, possibly without collections that cannot be loaded."""
        self.version = 0
        """Change number up to which the indexes are current."""

    def collection(self, name: str) -> LiveCollection:
        """Return a collection by name.

        Raises:
            IndexNotReady: The indexes are still loading, or this one could not be loaded.
            IndexUnavailable: The server that holds the index does not answer, or does not hold it yet.
            UnknownCollection: The collection does not exist.
        """
        if not self.is_ready:
            raise IndexNotReady
        live = self._collections.get(name)
        if live is not None:
            return live
        reason = self._not_loaded.get(name)
        if isinstance(reason, IndexUnavailable):
            raise IndexUnavailable(reason.detail, retry_after_s=reason.retry_after_s)
        if reason is not None:
            raise IndexNotReady(f"collection {name!r} cannot be served here: {reason.detail}")
        raise UnknownCollection(f"there is no collection named {name!r}")

    def collections(self) -> Sequence[LiveCollection]:
        """Return all collections, ordered by name."""
        return [self._collections[name] for name in sorted(self._collections)]

    def find(self, name: str) -> LiveCollection | None:
        """Return a collection by name; None if it is not loaded."""
        return self._collections.get(name)

    def put(self, live: LiveCollection) -> None:
        """Serve a collection; the index that it replaces is updated for ``RETIRED_S`` more seconds."""
        previous = self._collections.get(live.record.name)
        if previous is not None and previous.record.pk == live.record.pk:
            self._retired.append((time.monotonic() + RETIRED_S, previous))
        self._collections[live.record.name] = live

    def keep_only(self, names: Sequence[str]) -> None:
        """Drop all other collections."""
        for name in self._collections.keys() - set(names):
            del self._collections[name]

    def replace_all(self, collections: Sequence[LiveCollection]) -> None:
        """Serve only these collections; drop all others, including retired indexes."""
        self._collections = {live.record.name: live for live in collections}
        self._retired.clear()

    def set_not_loaded(self, reasons: Mapping[str, LookalikeError]) -> None:
        """Replace the reasons, by name, why collections could not be loaded."""
        self._not_loaded = dict(reasons)

    def indexes_to_update(self) -> Sequence[LiveCollection]:
        """Return the indexes to apply changes to, including retired ones that running searches may use."""
        self._retired = [(until, live) for until, live in self._retired if until > time.monotonic()]
        return [*self._collections.values(), *(live for _, live in self._retired)]

    def publish_version(self) -> None:
        """Report the version as a metric."""
        INDEX_VERSION.set(self.version)

    def gauges(self) -> dict[str, CollectionValues]:
        """Return the gauges of each collection by its name."""
        return {name: _gauges_of(live) for name, live in self._collections.items()}


def _gauges_of(live: LiveCollection) -> CollectionValues:
    view = live.index.view()
    stored = view.count + len(live.missing)
    gauges = {
        INDEX_CODES: view.count,
        INDEX_BYTES: live.index_bytes,
        COLLECTION_PICTURES: stored,
        INDEX_COVERAGE: view.count / stored if stored else 1.0,
        SNAPSHOT_LAG: live.unsaved,
    }
    return gauges if live.snapshot_at is None else gauges | {SNAPSHOT_SAVED: live.snapshot_at}
