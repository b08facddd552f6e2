"""Builds the hash tables of large indexes in the background."""

import asyncio

from app.services.index_sync.catalogue import CollectionCatalogue


class TableBuilder:
    """Builds tables where an index wants them; until they are there, it is scanned."""

    def __init__(self, catalogue: CollectionCatalogue) -> None:
        """Build for the collections of ``catalogue``."""
        self._catalogue = catalogue

    async def build(self) -> float | None:
        """Build the tables of one index; 0.0 where another one may want some, else None."""
        for live in self._catalogue.collections():
            if live.index.wants_engines:
                await asyncio.to_thread(live.index.build_engines)
                self._catalogue.publish_metrics()
                return 0.0
        return None
