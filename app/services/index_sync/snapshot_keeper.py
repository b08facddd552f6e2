"""Saves the indexes of this process, so that a start need not read every code from the database."""

import asyncio

from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.snapshots import RENEW_BEHIND, Snapshots


class SnapshotKeeper:
    """Keeps the snapshots' folder up to date with the indexes, and the indexes sharing its pages."""

    def __init__(self, catalogue: CollectionCatalogue, snapshots: Snapshots) -> None:
        """Save the collections of ``catalogue`` in ``snapshots``."""
        self._catalogue = catalogue
        self._snapshots = snapshots

    async def keep(self) -> None:
        """Save what is worth it, take up what other processes have saved, and remove what is of no use."""
        await self._save(at_least=1_000, share=0.01)
        for live in self._catalogue.collections():
            await asyncio.to_thread(self._snapshots.share, live.snapshot_name, live.index)
        living = [live.snapshot_name for live in self._catalogue.collections()]
        await asyncio.to_thread(self._snapshots.sweep, living)

    async def save_at_the_end(self) -> None:
        """Save what a start would otherwise have to read from the feed."""
        await self._save(at_least=1, share=0.0005)

    async def _save(self, *, at_least: int, share: float) -> None:
        for live in self._catalogue.collections():
            is_behind = 0 < live.saved < self._catalogue.version - RENEW_BEHIND
            if live.unsaved < max(at_least, share * live.index.view().count) and not is_behind:
                continue
            unsaved, live.unsaved = live.unsaved, 0
            version = await asyncio.to_thread(
                self._snapshots.save, live.snapshot_name, live.index, newer_than=live.saved
            )
            if version is None:
                live.unsaved += unsaved
            else:
                live.saved = version
