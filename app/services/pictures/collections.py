"""Create, list, change and delete collections."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.domain.calibration import Calibration
from app.domain.collections import CollectionRecord, IndexKind, Keeps
from app.domain.errors import CollectionInUse, FieldError, InvalidRequest, UnknownCollection, UnknownModel
from app.domain.ids import parse_name
from app.images.picture_sources import PictureSources
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.live_collection import LiveCollection
from app.services.index_sync.remote_indexes import RemoteIndexes
from app.services.model_registry.models import Models
from app.store.engine import Database

DEFAULT_COLLECTION = "default"
SERVED_S: Final = 15.0
"""Longest wait for the first version of an index on another server, in seconds."""
POLL_S: Final = 0.1
"""Seconds between two looks for it."""


@dataclass(frozen=True, slots=True)
class CollectionSummary:
    """A collection's record, and figures that do not require reading its pictures."""

    record: CollectionRecord
    bits: int
    images: int
    index_bytes: int
    """Memory of its index in this process, in bytes."""
    can_be_reencoded: bool
    """Whether another model can encode its pictures: the files are stored, or sources are configured."""


@dataclass(frozen=True, slots=True)
class CollectionStats:
    """A collection's summary and the total size of its files."""

    summary: CollectionSummary
    stored_bytes: int
    """Total size of its pictures' files, in bytes."""


class Collections:
    """Create, list, change and delete collections."""

    def __init__(
        self,
        database: Database,
        catalogue: CollectionCatalogue,
        follower: FeedFollower,
        models: Models,
        sources: PictureSources,
        *,
        default_model: str,
        engine: RemoteIndexes | None = None,
    ) -> None:
        """Manage the collections of ``database``.

        Args:
            database: The database.
            catalogue: The collections that this process serves.
            follower: Keeps the catalogue up to date.
            models: The models.
            sources: Reads pictures that are kept as references.
            default_model: Model of collections created without one.
            engine: Server for indexes outside this process; None if there is none.
        """
        self._engine = engine
        self._sources = sources
        self._database = database
        self._catalogue = catalogue
        self._follower = follower
        self._models = models
        self._default_model = default_model

    async def ensure_default(self) -> None:
        """Create the default collection unless it exists.

        Raises:
            UnknownModel: The default model is not registered.
        """
        async with self._database.read() as unit:
            if await unit.models.get(self._default_model) is None:
                raise UnknownModel(f"there is no model named {self._default_model!r}")
            if await unit.collections.get(DEFAULT_COLLECTION) is not None:
                return
        async with self._database.write() as writing:
            # Look again: another process may have created it meanwhile.
            if await writing.collections.get(DEFAULT_COLLECTION) is None:
                await writing.collections.create(DEFAULT_COLLECTION, model=self._default_model, keeps="copies")

    async def check_importable(self, name: str) -> None:
        """Check that a job can import pictures into a collection.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        async with self._database.read() as unit:
            if await unit.collections.get(name) is None:
                raise UnknownCollection(f"there is no collection named {name!r}")

    async def create(
        self,
        name: str,
        *,
        model: str | None = None,
        keeps: str = "copies",
        description: str | None = None,
        index_kind: IndexKind = IndexKind.LOCAL,
    ) -> CollectionSummary:
        """Create an empty collection.

        Raises:
            InvalidId: The name is not allowed.
            CollectionExists: The name is taken.
            UnknownModel: The model does not exist.
            InvalidRequest: No server is configured for this kind of index.
            IndexUnavailable: The server does not answer.
        """
        parse_name(name)
        if index_kind is not IndexKind.LOCAL:
            await self._check_engine()
        model = model or self._default_model
        await self._models.serving(model)
        async with self._database.write() as unit:
            await unit.collections.create(
                name, model=model, keeps=keeps, description=description, index_kind=index_kind
            )
        await self._follower.catch_up(unit.last_change)
        if index_kind is not IndexKind.LOCAL:
            await self._wait_until_served(name)
        return await self.get(name)

    async def _check_engine(self) -> None:
        if self._engine is None:
            reason = "no server is configured; set LOOKALIKE_CLICKHOUSE_URL, or use a local index"
            raise InvalidRequest(errors=[FieldError("/index", reason)])
        await self._engine.prepare()

    async def _wait_until_served(self, name: str) -> None:
        """Wait until the feeder has written the first version of a collection's index."""
        until = time.monotonic() + SERVED_S
        while self._catalogue.find(name) is None and time.monotonic() < until:
            await asyncio.sleep(POLL_S)
            await self._follower.open_remote()

    async def describe(self, name: str, description: str | None) -> CollectionSummary:
        """Change a collection's description.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        live = self._catalogue.collection(name)
        async with self._database.write() as unit:
            await unit.collections.update(live.record.pk, description=description)
        await self._follower.catch_up(unit.last_change)
        return await self.get(name)

    async def delete(self, name: str) -> None:
        """Delete a collection and every picture in it.

        Raises:
            UnknownCollection: The collection does not exist.
            CollectionInUse: It is the default collection, which always exists.
        """
        if name == DEFAULT_COLLECTION:
            raise CollectionInUse("the default collection always exists; delete its pictures instead")
        # From the database: an index that this process cannot load is no reason to keep the pictures.
        async with self._database.freeing() as unit:
            record = await unit.collections.get(name)
            if record is None:
                raise UnknownCollection(f"there is no collection named {name!r}")
            await unit.collections.delete(record.pk)
        await self._follower.catch_up(unit.last_change)

    async def get(self, name: str) -> CollectionSummary:
        """Return the summary of a collection.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        live = self._catalogue.collection(name)
        async with self._database.read() as unit:
            record = await unit.collections.get(name)
        if record is None:
            raise UnknownCollection(f"there is no collection named {name!r}")
        return self._summary(record, live)

    async def stats(self, name: str) -> CollectionStats:
        """Return a collection's summary and the total size of its files, reading all its rows.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        summary = await self.get(name)
        async with self._database.read() as unit:
            stored_bytes = await unit.images.stored_bytes(summary.record.pk)
        return CollectionStats(summary, stored_bytes)

    async def calibration(self, name: str) -> Calibration | None:
        """Return the calibration of a collection's model; None if it has none.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        model = await self._models.serving(self._catalogue.collection(name).record.model)
        return model.calibration

    async def page(
        self, *, after: str | None, limit: int, may_use: Callable[[str], bool]
    ) -> tuple[list[CollectionSummary], str | None]:
        """Return a page of the collections that ``may_use`` admits, ordered by name.

        Returns:
            Up to ``limit`` collections after the name ``after``, and the name after which the next page begins.
        """
        async with self._database.read() as unit:
            records = {record.name: record for record in await unit.collections.list_all()}
        # Leave out collections that this process does not serve yet, or that were just deleted.
        served = {live.record.name: live for live in self._catalogue.collections()}
        names = sorted(
            name for name in records.keys() & served.keys() if may_use(name) and (after is None or name > after)
        )
        found = [self._summary(records[name], served[name]) for name in names[:limit]]
        return found, names[limit - 1] if len(names) > limit else None

    def _summary(self, record: CollectionRecord, live: LiveCollection) -> CollectionSummary:
        view = live.index.view()
        return CollectionSummary(
            record,
            live.index.bits,
            view.count,
            live.index_bytes,
            can_be_reencoded=record.keeps is Keeps.COPIES or self._sources.reads_anything,
        )
