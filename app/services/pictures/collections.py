"""Collections: each the user's set of pictures, under one model and code length."""

from dataclasses import dataclass

from app.domain.calibration import Calibration
from app.domain.errors import CollectionInUse, UnknownCollection
from app.domain.ids import parse_name
from app.images.picture_sources import PictureSources
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.live_collection import LiveCollection
from app.services.model_registry.models import Models
from app.store.engine import Database
from app.store.records import CollectionRecord, Keeps

DEFAULT_COLLECTION = "default"


@dataclass(frozen=True, slots=True)
class CollectionSummary:
    """A collection, and what is known of it without reading its pictures."""

    record: CollectionRecord
    bits: int
    images: int
    index_bytes: int
    """Memory of its index in this process."""
    can_be_reencoded: bool
    """Whether another model can encode its pictures: they are kept, or there are places to read them from."""


@dataclass(frozen=True, slots=True)
class CollectionStats:
    """What a collection holds and takes."""

    summary: CollectionSummary
    stored_bytes: int
    """Bytes of its pictures' files."""


class Collections:
    """Creates, lists, changes and deletes collections."""

    def __init__(
        self,
        database: Database,
        catalogue: CollectionCatalogue,
        follower: FeedFollower,
        models: Models,
        sources: PictureSources,
        *,
        default_model: str,
    ) -> None:
        """Collections that name no model get ``default_model``; ``sources`` is where references are read."""
        self._sources = sources
        self._database = database
        self._catalogue = catalogue
        self._follower = follower
        self._models = models
        self._default_model = default_model

    async def ensure_default(self) -> None:
        """Create the default collection on the first start."""
        async with self._database.read() as unit:
            if await unit.collections.get(DEFAULT_COLLECTION) is not None:
                return
        async with self._database.write() as writing:
            # Another process may have been quicker; creating it twice is no error here.
            if await writing.collections.get(DEFAULT_COLLECTION) is None:
                await writing.collections.create(DEFAULT_COLLECTION, model=self._default_model, keeps="copies")

    async def create(
        self, name: str, *, model: str | None = None, keeps: str = "copies", description: str | None = None
    ) -> CollectionSummary:
        """Create an empty collection.

        Raises:
            InvalidId: The name is not allowed.
            CollectionExists: There is one by that name.
            UnknownModel: There is no such model.
        """
        parse_name(name)
        model = model or self._default_model
        await self._models.serving(model)
        async with self._database.write() as unit:
            await unit.collections.create(name, model=model, keeps=keeps, description=description)
        await self._follower.catch_up(unit.last_change)
        return await self.get(name)

    async def describe(self, name: str, description: str | None) -> CollectionSummary:
        """Change a collection's description.

        Raises:
            UnknownCollection: There is none by that name.
        """
        live = self._catalogue.collection(name)
        async with self._database.write() as unit:
            await unit.collections.update(live.record.pk, description=description)
        await self._follower.catch_up(unit.last_change)
        return await self.get(name)

    async def delete(self, name: str) -> None:
        """Delete a collection and every picture in it.

        Raises:
            UnknownCollection: There is none by that name.
            CollectionInUse: It is the default collection, which always exists.
        """
        if name == DEFAULT_COLLECTION:
            raise CollectionInUse("the default collection always exists; delete its pictures instead")
        live = self._catalogue.collection(name)
        async with self._database.freeing() as unit:
            await unit.collections.delete(live.record.pk)
        await self._follower.catch_up(unit.last_change)

    async def get(self, name: str) -> CollectionSummary:
        """Return one collection.

        Raises:
            UnknownCollection: There is none by that name.
        """
        live = self._catalogue.collection(name)
        async with self._database.read() as unit:
            record = await unit.collections.get(name)
        if record is None:
            raise UnknownCollection(f"there is no collection named {name!r}")
        return self._summary(record, live)

    async def stats(self, name: str) -> CollectionStats:
        """Return what a collection holds and takes, which reads all its pictures' rows.

        Raises:
            UnknownCollection: There is none by that name.
        """
        summary = await self.get(name)
        async with self._database.read() as unit:
            stored_bytes = await unit.images.stored_bytes(summary.record.pk)
        return CollectionStats(summary, stored_bytes)

    async def calibration(self, name: str) -> Calibration | None:
        """What distances mean under a collection's model; None where it was not measured.

        Raises:
            UnknownCollection: There is none by that name.
        """
        model = await self._models.serving(self._catalogue.collection(name).record.model)
        return Calibration.of(model.artifact.manifest.calibration)

    async def page(self, *, after: str | None, limit: int) -> tuple[list[CollectionSummary], str | None]:
        """Return the next ``limit`` collections after ``after`` by name, and the name to go on after."""
        async with self._database.read() as unit:
            records = {record.name: record for record in await unit.collections.list_all()}
        # One that this process does not serve yet, or that was deleted a moment ago, is left out.
        served = {live.record.name: live for live in self._catalogue.collections()}
        names = sorted(name for name in records.keys() & served.keys() if after is None or name > after)
        found = [self._summary(records[name], served[name]) for name in names[:limit]]
        return found, names[limit - 1] if len(names) > limit else None

    def _summary(self, record: CollectionRecord, live: LiveCollection) -> CollectionSummary:
        view = live.index.view()
        return CollectionSummary(
            record,
            live.index.bits,
            view.count,
            view.nbytes,
            can_be_reencoded=record.keeps is Keeps.COPIES or self._sources.reads_anything,
        )
