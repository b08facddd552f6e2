"""Bitmaps of the rows that a filter allows, kept with each index."""

import asyncio

from app.domain.errors import IndexNotReady
from app.domain.filters import Filter
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.live_collection import LiveCollection
from app.store.feed import FeedPruned


class FilterBitmaps:
    """Makes the bitmaps; the feed keeps them up to date."""

    def __init__(self, catalogue: CollectionCatalogue, follower: FeedFollower) -> None:
        """Make bitmaps of collections in ``catalogue``, at the moment at which ``follower`` stands."""
        self._catalogue = catalogue
        self._follower = follower

    async def ensure(self, collection: LiveCollection, metadata_filter: Filter) -> str:
        """Have the index keep the rows that a filter allows, and return the filter's key.

        The rows are read in the same database snapshot as the changes before them, so that the bitmap and
        the codes always stand at one change number.

        Raises:
            InvalidFilter: A key of the filter contains only objects.
            IndexNotReady: The collection was switched to another model, long after ``collection`` was taken.
            FeedPruned: Everything was restored after it was taken: search again from the start.
        """
        key = metadata_filter.key
        if collection.index.view().has_filter(key):
            return key
        loads = self._follower.loads
        async with self._follower.up_to_date() as unit:
            if self._follower.loads != loads:
                raise FeedPruned("everything was loaded again meanwhile")
            if collection.index.view().has_filter(key):
                return key
            await unit.images.check_filter(collection.record.pk, metadata_filter)
            numbers = await unit.images.numbers_matching(collection.record.pk, metadata_filter)
            version = self._catalogue.version
            if collection.index.view().version != version:
                raise IndexNotReady("the collection has changed its model meanwhile; search again")
            await asyncio.to_thread(collection.index.put_filter, key, numbers, version)
            kept = set(collection.index.filter_keys())
            collection.filters = {k: f for k, f in collection.filters.items() if k in kept}
            collection.filters[key] = metadata_filter
        return key
