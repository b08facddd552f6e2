"""Add the pictures of one request; once it returns, they are durable and searchable."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.domain.duplicates import OnDuplicate, OnNearDuplicate
from app.domain.errors import ModelMismatch, NearDuplicateExists
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.live_collection import LiveCollection
from app.services.pictures.grouped_writes import GroupedAdditions
from app.services.pictures.near_duplicates import NearDuplicate, NearDuplicates
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
            on_near_duplicate: How to treat copies of pictures that are stored under other ids before this
                request; None not to look for them.

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
            near = await self._near(live, prepared)
            prepared = [
                _judged(item, found, on_near_duplicate) for item, found in zip(prepared, near, strict=True)
            ]
        to_write = [item for item in prepared if isinstance(item, PreparedImage)]
        outcomes = [item for item in prepared if isinstance(item, ImageOutcome)]
        if to_write:
            written = await self._writes.write(live.record.pk, prepared, on_duplicate)
            outcomes = written.outcomes
            await self._preparation.store_missing_files(to_write)
            await self._follower.catch_up(written.change)
        named = (replace(one, near=found) for one, found in zip(outcomes, near, strict=True))
        return AddResult(tuple(named), self._catalogue.version)

    async def _near(
        self, live: LiveCollection, prepared: Sequence[PreparedImage | ImageOutcome]
    ) -> list[tuple[NearDuplicate, ...] | None]:
        """Return the stored pictures that each prepared one is a copy of; None for those without a code."""
        return [
            await self._near_duplicates.find(live, item.image) if isinstance(item, PreparedImage) else None
            for item in prepared
        ]


def _judged(
    item: PreparedImage | ImageOutcome, near: tuple[NearDuplicate, ...] | None, policy: OnNearDuplicate
) -> PreparedImage | ImageOutcome:
    """Return the outcome of a picture that the policy keeps out; any other picture as it is."""
    if not near or isinstance(item, ImageOutcome) or policy is OnNearDuplicate.REPORT:
        return item
    names = ", ".join(repr(one.image_id) for one in near[:5])
    error = NearDuplicateExists(
        f"it is a copy of {names}; to add it all the same, use on_near_duplicate=report"
    )
    outcome = Outcome.NEAR_DUPLICATE if policy is OnNearDuplicate.SKIP else Outcome.FAILED
    return ImageOutcome(item.image.image_id, outcome, error)
