"""Add a few pictures now: acknowledged, they are durable and found by the next search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.domain.duplicates import OnDuplicate
from app.domain.errors import ModelMismatch
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.pictures.preparing import (
    AddedImage,
    Outcome,
    PictureToAdd,
    Preparation,
    ReadyImage,
    write_prepared,
)
from app.store.engine import Database

__all__ = ["AddImages", "Added", "AddedImage", "OnDuplicate", "Outcome", "PictureToAdd"]

MOST_SWITCHES: Final = 2
"""So many changes of a collection's model during one addition are believed to be by chance."""


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the pictures of one request, in the caller's order."""

    images: tuple[AddedImage, ...]
    index_version: int


class AddImages:
    """Adds pictures to a collection."""

    def __init__(
        self,
        database: Database,
        catalogue: CollectionCatalogue,
        follower: FeedFollower,
        preparation: Preparation,
    ) -> None:
        """Join the database, the index and what makes pictures ready."""
        self._database = database
        self._catalogue = catalogue
        self._follower = follower
        self._preparation = preparation

    async def add(
        self, pictures: Sequence[PictureToAdd], collection: str, on_duplicate: OnDuplicate = OnDuplicate.SKIP
    ) -> Added:
        """Add each picture, or say why not; one refused picture does not keep the others out.

        Raises:
            UnknownCollection: There is no such collection.
            StorageFull: A picture could not be kept; nothing of the request was written.
            Unavailable: The database or the picture store did not answer; nothing was written.
        """
        for _ in range(MOST_SWITCHES):
            try:
                return await self._add(pictures, collection, on_duplicate)
            except ModelMismatch:
                # The collection was switched to a model that it was not yet prepared for as this began.
                continue
        return await self._add(pictures, collection, on_duplicate)

    async def _add(self, pictures: Sequence[PictureToAdd], collection: str, on_duplicate: OnDuplicate) -> Added:
        live = self._catalogue.collection(collection)
        prepared = await self._preparation.prepare(live.record, pictures, on_duplicate)
        ready = [item for item in prepared if isinstance(item, ReadyImage)]
        outcomes = [item for item in prepared if isinstance(item, AddedImage)]
        if ready:
            async with self._database.write() as unit:
                outcomes = await write_prepared(unit, live.record.pk, prepared, on_duplicate)
            await self._preparation.confirm_kept(ready)
            await self._follower.catch_up(unit.last_change)
        return Added(tuple(outcomes), self._catalogue.version)
