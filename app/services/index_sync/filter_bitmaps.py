"""Bitmaps of the rows that match a filter, kept with each index."""

import asyncio

from app.domain.errors import IndexNotReady
from app.domain.filters import Filter
from app.remote.remote_index import RemoteIndex
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.live_collection import LiveCollection, ascending
from app.store.pictures.feed import FeedPruned


class FilterBitmaps:
    """Build bitmaps; the feed follower keeps them up to date."""

    def __init__(self, catalogue: CollectionCatalogue, follower: FeedFollower) -> None:
        """Build bitmaps for the indexes that ``follower`` keeps up to date with ``catalogue``'s version."""
        self._catalogue = catalogue
        self._follower = follower

    async def ensure(self, collection: LiveCollection, metadata_filter: Filter) -> str:
        """Build a filter's bitmap in the indexes unless it exists, and return the filter's key.

        The rows are read in the same database snapshot as the last changes, so the bitmap and the codes have
        the same version.

        Raises:
            InvalidFilter: A key of the filter contains only objects.
            IndexNotReady: The collection's model was switched, and this index is no longer updated.
            FeedPruned: The service was restored since the caller got ``collection``; restart the search.
        """
        key = metadata_filter.key
        if collection.index.view().has_filter(key):
            return key
        load_count = self._follower.load_count
        async with self._follower.hold_at_latest() as unit:
            if self._follower.load_count != load_count:
                raise FeedPruned("all indexes were reloaded during the search")
            if collection.index.view().has_filter(key):
                return key
            index, pk = collection.index, collection.record.pk
            await unit.images.check_filter(pk, metadata_filter)
            if isinstance(index, RemoteIndex):
                newer = await unit.images.numbers_among(pk, index.newer_numbers(), metadata_filter)
                numbers = ascending(newer)
            else:
                numbers = await unit.images.numbers_matching(pk, metadata_filter)
            version = self._catalogue.version
            if collection.index.view().version != version:
                raise IndexNotReady("the collection's model changed during the search; search again")
            if isinstance(index, RemoteIndex):
                await asyncio.to_thread(index.put_filter, metadata_filter, numbers, version)
            else:
                # Callers look at the bitmaps of ``index`` only, so it gets them last.
                await asyncio.to_thread(collection.hashes.put_filter, key, numbers, version)
                await asyncio.to_thread(index.put_filter, key, numbers, version)
            kept = set(index.filter_keys())
            collection.filters = {k: f for k, f in collection.filters.items() if k in kept}
            collection.filters[key] = metadata_filter
        return key
