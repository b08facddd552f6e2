"""Add the pictures of one request; once it returns, they are durable and searchable."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.domain.duplicates import OnDuplicate, OnNearDuplicate
from app.domain.errors import ModelMismatch
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.pictures.grouped_writes import GroupedAdditions
from app.services.pictures.near_duplicates import NearDuplicate, NearDuplicates
from app.services.pictures.near_policy import judge
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
        near_duplicates: NearDuplicates,
    ) -> None:
        """Write pictures that ``preparation`` prepared, and wait for ``follower`` to index them."""
        self._near_duplicates = near_duplicates
        self._writes = GroupedAdditions(database)
        self._catalogue = catalogue
        self._follower = follower
        self._preparation = preparation

    async def add(
        self,
        pictures: Sequence[PictureToAdd],
        collection: str,
        on_duplicate: OnDuplicate = OnDuplicate.SKIP,
        on_near_duplicate: OnNearDuplicate | None = None,
    ) -> AddResult:
        """Add each picture; a refused picture does not affect the others.

        Args:
            pictures: The pictures.
            collection: Name of the collection.
            on_duplicate: How to treat pictures whose id is stored already.
            on_near_duplicate: How to treat copies of pictures that are stored under other ids, or that come
                before them in this request; None not to look for them.

        Raises:
            UnknownCollection: The collection does not exist.
            StorageFull: The disk is full; nothing was added.
            Unavailable: The database or the picture store does not answer; nothing was added.
        """
        for _ in range(SWITCH_RETRIES):
            try:
                return await self._add(pictures, collection, on_duplicate, on_near_duplicate)
            except ModelMismatch:
                # The collection was switched to a model under which the pictures were not encoded.
                continue
        return await self._add(pictures, collection, on_duplicate, on_near_duplicate)

    async def _add(
        self,
        pictures: Sequence[PictureToAdd],
        collection: str,
        on_duplicate: OnDuplicate,
        on_near_duplicate: OnNearDuplicate | None,
    ) -> AddResult:
        live = self._catalogue.collection(collection)
        prepared = await self._preparation.prepare(live.record, pictures, on_duplicate)
        near: list[tuple[NearDuplicate, ...] | None] = [None] * len(prepared)
        if on_near_duplicate is not None:
            await self._follower.catch_up_to_latest()
            judged = await judge(self._near_duplicates, live, prepared, on_near_duplicate)
            prepared, near = [one.item for one in judged], [one.near for one in judged]
        to_write = [item for item in prepared if isinstance(item, PreparedImage)]
        outcomes = [item for item in prepared if isinstance(item, ImageOutcome)]
        if to_write:
            written = await self._writes.write(live.record.pk, prepared, on_duplicate)
            outcomes = written.outcomes
            await self._preparation.store_missing_files(to_write)
            await self._follower.catch_up(written.change)
        named = (replace(one, near=found) for one, found in zip(outcomes, near, strict=True))
        return AddResult(tuple(named), self._catalogue.version)
