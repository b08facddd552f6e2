"""The sample gallery: added to a service that has no pictures yet, and removed when asked."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from app.samples import Sample, samples
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.pictures.adding import AddImages, PictureToAdd
from app.services.pictures.collections import DEFAULT_COLLECTION
from app.services.pictures.images import Deleted, Images

_log = structlog.get_logger()

_BATCH: Final = 16
"""Pictures added at once: few, so that a page that watches sees them come."""


@dataclass(frozen=True, slots=True)
class GalleryProgress:
    """How many of the samples have been added."""

    done: int
    total: int


class SampleGallery:
    """Adds the samples once, and removes them."""

    def __init__(
        self, add_images: AddImages, images: Images, catalogue: CollectionCatalogue, data_dir: Path
    ) -> None:
        """Remember in ``data_dir`` whether they were added."""
        self._add_images = add_images
        self._images = images
        self._catalogue = catalogue
        self._marker = data_dir / "sample-gallery"
        self.progress: GalleryProgress | None = None
        """While the samples are being added; None before and after."""

    async def add_on_first_start(self) -> None:
        """Add the samples to an empty default collection; what is deleted later stays deleted.

        A marker in the data folder tells a first start from later ones, and one cut off from one that ended.
        """
        state = self._marker.read_text() if self._marker.exists() else ""
        is_empty = self._catalogue.collection(DEFAULT_COLLECTION).index.view().count == 0
        if state == "added" or (not state and not is_empty):
            return
        self._marker.write_text("adding")
        pictures = list(samples())
        try:
            for start in range(0, len(pictures), _BATCH):
                self.progress = GalleryProgress(start, len(pictures))
                wanted = pictures[start : start + _BATCH]
                batch = await asyncio.to_thread(_to_add, wanted)
                await self._add_images.add(batch, DEFAULT_COLLECTION)
        finally:
            self.progress = None
        self._marker.write_text("added")
        _log.info("sample_gallery_added")

    async def remove(self, collection: str, *, dry_run: bool) -> Deleted:
        """Delete the pictures that are still the samples: those with a sample's id and its very bytes.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        sha256s = {sample.image_id: sample.sha256 for sample in samples()}
        return await self._images.delete_ids(collection, list(sha256s), dry_run=dry_run, sha256s=sha256s)


def _to_add(wanted: Sequence[Sample]) -> list[PictureToAdd]:
    return [
        PictureToAdd(sample.read(), image_id=sample.image_id, uri=sample.uri, metadata=sample.metadata)
        for sample in wanted
    ]
