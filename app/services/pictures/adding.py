"""Add the pictures of one request; once it returns, they are durable and searchable."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.domain.duplicates import OnDuplicate
from app.domain.errors import ModelMismatch
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.pictures.grouped_writes import GroupedWrites
from app.services.pictures.preparing import (
    ImageOutcome,
    Outcome,
    PictureToAdd,
    Preparation,
    PreparedImage,
)
from app.store.engine import Database

__all__ = ["AddImages", "AddResult", "ImageOutcome", "OnDuplicate", "Outcome", "PictureToAdd"]

SWITCH_RETRIES: Final = 2
"""Number of retries after the collection was switched to another model in the meantime."""


@dataclass(frozen=True, slots=True)
class AddResult:
    """Outcomes of the pictures of one request, in its order."""

    images: tuple[ImageOutcome, ...]
    index_version: int
    """Change number up to which this process's indexes are current."""


class AddImages:
    """Add pictures to a collection."""

    def __init__(
        self,
        database: Database,
        catalogue: CollectionCatalogue,
        follower: FeedFollower,
        preparation: Preparation,
    ) -> None:
        """Write pictures that ``preparation`` prepared, and wait for ``follower`` to index them."""
        self._writes = GroupedWrites(database)
        self._catalogue = catalogue
        self._follower = follower
        self._preparation = preparation

    async def add(
        self, pictures: Sequence[PictureToAdd], collection: str, on_duplicate: OnDuplicate = OnDuplicate.SKIP
    ) -> AddResult:
        """Add each picture; a refused picture does not affect the others.

        Raises:
            UnknownCollection: The collection does not exist.
            StorageFull: The disk is full; nothing was added.
            Unavailable: The database or the picture store does not answer; nothing was added.
        """
        for _ in range(SWITCH_RETRIES):
            try:
                return await self._add(pictures, collection, on_duplicate)
            except ModelMismatch:
                # The collection was switched to a model under which the pictures were not encoded.
                continue
        return await self._add(pictures, collection, on_duplicate)

    async def _add(
        self, pictures: Sequence[PictureToAdd], collection: str, on_duplicate: OnDuplicate
    ) -> AddResult:
        live = self._catalogue.collection(collection)
        prepared = await self._preparation.prepare(live.record, pictures, on_duplicate)
        to_write = [item for item in prepared if isinstance(item, PreparedImage)]
        outcomes = [item for item in prepared if isinstance(item, ImageOutcome)]
        if to_write:
            written = await self._writes.write(live.record.pk, prepared, on_duplicate)
            outcomes = written.outcomes
            await self._preparation.store_missing_files(to_write)
            await self._follower.catch_up(written.change)
        return AddResult(tuple(outcomes), self._catalogue.version)
