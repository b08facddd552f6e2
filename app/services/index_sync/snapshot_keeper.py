"""Save the indexes of this process as snapshots, from which the next start loads them."""

import asyncio

from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.snapshots import MAX_CHANGES_BEHIND, Snapshots


class SnapshotKeeper:
    """Keep the snapshots up to date, and let the indexes share their pages."""

    def __init__(self, catalogue: CollectionCatalogue, snapshots: Snapshots) -> None:
        """Save the collections of ``catalogue`` in ``snapshots``."""
        self._catalogue = catalogue
        self._snapshots = snapshots

    async def update(self) -> None:
        """Save changed indexes, share pages of newer snapshots, and remove unused snapshots."""
        await self._save(at_least=1_000, share=0.01)
        for live in self._catalogue.collections():
            for name, index in live.snapshots:
                await asyncio.to_thread(self._snapshots.share, name, index)
            live.snapshot_at = await asyncio.to_thread(self._snapshots.saved_at, live.snapshot_name)
        in_use = [name for live in self._catalogue.collections() for name, _ in live.snapshots]
        await asyncio.to_thread(self._snapshots.sweep, in_use)

    async def save_before_exit(self) -> None:
        """Save indexes even after few changes, so that the next start need not read them from the feed."""
        await self._save(at_least=1, share=0.0005)

    async def _save(self, *, at_least: int, share: float) -> None:
        for live in self._catalogue.collections():
            index = live.local_index
            if index is None:
                continue
            is_behind = 0 < live.snapshot_version < self._catalogue.version - MAX_CHANGES_BEHIND
            if live.unsaved < max(at_least, share * index.view().count) and not is_behind:
                continue
            unsaved, live.unsaved = live.unsaved, 0
            versions = [
                await asyncio.to_thread(self._snapshots.save, name, index, newer_than=live.snapshot_version)
                for name, index in live.snapshots
            ]
            saved = [version for version in versions if version is not None]
            if len(saved) < len(versions):
                live.unsaved += unsaved
            else:
                live.snapshot_version = min(saved)
