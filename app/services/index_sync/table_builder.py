"""Build the hash tables of large indexes in the background."""

import asyncio

from app.services.index_sync.catalogue import CollectionCatalogue


class TableBuilder:
    """Build hash tables for indexes that need them; until then, searches scan the index."""

    def __init__(self, catalogue: CollectionCatalogue) -> None:
        """Build tables for the collections of ``catalogue``."""
        self._catalogue = catalogue

    async def build(self) -> float | None:
        """Build the tables of one index.

        Returns:
            0.0 if another index may need tables, None if none does.
        """
        for live in self._catalogue.collections():
            index = live.local_index
            if index is not None and index.wants_engines:
                await asyncio.to_thread(index.build_engines)
                return 0.0
        return None
