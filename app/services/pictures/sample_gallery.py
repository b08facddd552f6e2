"""Add the sample gallery to a service without pictures, and remove it on request."""

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
from app.services.pictures.images import DeletionResult, Images

_log = structlog.get_logger()

_BATCH: Final = 16
"""Number of pictures added at a time; small, so that the page shows progress."""


@dataclass(frozen=True, slots=True)
class GalleryProgress:
    """Number of samples added so far, and of all samples."""

    done: int
    total: int


class SampleGallery:
    """Add the samples once, and remove them."""

    def __init__(
        self, add_images: AddImages, images: Images, catalogue: CollectionCatalogue, data_dir: Path
    ) -> None:
        """Record in ``data_dir`` whether they were added."""
        self._add_images = add_images
        self._images = images
        self._catalogue = catalogue
        self._marker = data_dir / "sample-gallery"
        self.progress: GalleryProgress | None = None
        """Progress while the samples are being added, else None."""

    async def add_on_first_start(self) -> None:
        """Add the samples to the default collection on the first start, if it is empty.

        A marker file in the data folder records that adding has started or is complete, so that deleted samples
        are not added again, and an interrupted first start is continued.
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
                batch = await asyncio.to_thread(_pictures_to_add, pictures[start : start + _BATCH])
                await self._add_images.add(batch, DEFAULT_COLLECTION)
        finally:
            self.progress = None
        self._marker.write_text("added")
        _log.info("sample_gallery_added")

    async def remove(self, collection: str, *, dry_run: bool) -> DeletionResult:
        """Delete the samples, except those whose id now names another file.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        sha256s = {sample.image_id: sample.sha256 for sample in samples()}
        return await self._images.delete_ids(collection, list(sha256s), dry_run=dry_run, sha256s=sha256s)


def _pictures_to_add(batch: Sequence[Sample]) -> list[PictureToAdd]:
    return [
        PictureToAdd(sample.read(), image_id=sample.image_id, uri=sample.uri, metadata=sample.metadata)
        for sample in batch
    ]
