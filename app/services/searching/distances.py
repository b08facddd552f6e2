"""How the distances from a query are spread over a collection, to choose a bound by."""

import asyncio
from typing import Final

from app.domain.filters import Filter
from app.index.histogram import DistanceHistogram
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.index_sync.filter_bitmaps import FilterBitmaps
from app.services.searching.code_queries import query_of_code
from app.services.searching.restore_retry import retry_after_restore

MAX_MEASURED: Final = 1_000_000
"""Pictures that are measured at most, which takes tens of milliseconds; of more, an even sample is."""


class Distances:
    """Counts the pictures of a collection at each distance from a code."""

    def __init__(self, catalogue: CollectionCatalogue, filters: FilterBitmaps, follower: FeedFollower) -> None:
        """Measure the collections of ``catalogue``, which ``follower`` keeps up to date."""
        self._catalogue = catalogue
        self._filters = filters
        self.follower: Final = follower

    @retry_after_restore
    async def histogram(
        self, collection: str, code: str, model: str, metadata_filter: Filter | None = None
    ) -> DistanceHistogram:
        """Count the pictures at each distance from ``code``.

        Raises:
            UnknownCollection: The collection does not exist.
            ModelMismatch: The code is of another model than the collection's.
            InvalidRequest: The code is not hex of the model's length.
        """
        live = self._catalogue.collection(collection)
        codes, _ = query_of_code(live, code, model, "/query/code").ranking.near_and_far()
        key = None if metadata_filter is None else await self._filters.ensure(live, metadata_filter)
        return await asyncio.to_thread(
            live.index.view().distance_counts, codes[0], filter_key=key, most=MAX_MEASURED
        )
