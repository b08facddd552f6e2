"""The collections that this process serves, by name."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from app.domain.errors import IndexNotReady, UnknownCollection
from app.services.index_sync.live_collection import LiveCollection
from app.telemetry.metrics import INDEX_BYTES, INDEX_VERSION, PICTURES

RETIRED_S: Final = 30.0
"""How long the index of the model before a switch follows the feed, for searches that still use it."""


class CollectionCatalogue:
    """Holds the loaded collections; only the feed follower changes it."""

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self._collections: dict[str, LiveCollection] = {}
        self._not_loaded: dict[str, str] = {}
        self._retired: list[tuple[float, LiveCollection]] = []
        self._measured: set[str] = set()
        self.is_ready = False
        """Whether every collection was loaded once, as far as it can be."""
        self.version = 0
        """Change number that the indexes stand at."""

    @property
    def has_gaps(self) -> bool:
        """Whether a collection could not be loaded."""
        return bool(self._not_loaded)

    def collection(self, name: str) -> LiveCollection:
        """The collection by that name.

        Raises:
            IndexNotReady: The indexes are still loading, or this one could not be loaded.
            UnknownCollection: There is none.
        """
        if not self.is_ready:
            raise IndexNotReady
        live = self._collections.get(name)
        if live is not None:
            return live
        if name in self._not_loaded:
            raise IndexNotReady(f"collection {name!r} cannot be served here: {self._not_loaded[name]}")
        raise UnknownCollection(f"there is no collection named {name!r}")

    def collections(self) -> Sequence[LiveCollection]:
        """Every collection, by name."""
        return [self._collections[name] for name in sorted(self._collections)]

    def find(self, name: str) -> LiveCollection | None:
        """The loaded collection by that name, if there is one."""
        return self._collections.get(name)

    def put(self, live: LiveCollection) -> None:
        """Serve a collection. An index that it replaces follows the feed a little longer."""
        before = self._collections.get(live.record.name)
        if before is not None and before.record.pk == live.record.pk:
            self._retired.append((time.monotonic() + RETIRED_S, before))
        self._collections[live.record.name] = live

    def keep_only(self, names: Sequence[str]) -> None:
        """Drop every collection but those by these names."""
        for name in self._collections.keys() - set(names):
            del self._collections[name]

    def replace_all(self, collections: Sequence[LiveCollection]) -> None:
        """Serve these collections and no other: they are of another history of the database."""
        self._collections = {live.record.name: live for live in collections}
        self._retired.clear()

    def note_not_loaded(self, reasons: Mapping[str, str]) -> None:
        """Remember which collections could not be loaded, and why; the earlier reasons are void."""
        self._not_loaded = dict(reasons)

    def followers(self) -> Sequence[LiveCollection]:
        """Every index that changes are applied to: a search ends on the index that it began on."""
        self._retired = [(until, live) for until, live in self._retired if until > time.monotonic()]
        return [*self._collections.values(), *(live for _, live in self._retired)]

    def publish_metrics(self) -> None:
        """Set the metrics of the index."""
        INDEX_VERSION.set(self.version)
        for name in self._measured - self._collections.keys():
            PICTURES.remove(name)
            INDEX_BYTES.remove(name)
        self._measured = set(self._collections)
        for name, live in self._collections.items():
            view = live.index.view()
            PICTURES.labels(name).set(view.count)
            INDEX_BYTES.labels(name).set(view.nbytes)
