"""Add the sample gallery to a service without pictures, and remove it on request."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from app.domain.ids import sha256_hex
from app.samples import Sample, sample_codes, samples
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.pictures.adding import AddImages, PictureToAdd
from app.services.pictures.coding import StoredCode
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
        """Progress while the samples are being added, otherwise None."""

    async def add_on_first_start(self) -> None:
        """Add the samples to the default collection on the first start, if it is empty.

        A marker file in the data folder records that adding has started or is complete, so that deleted samples
        are not added again, and an interrupted first start is continued.
        """
        state = self._marker.read_text() if self._marker.exists() else ""
        live = self._catalogue.collection(DEFAULT_COLLECTION)
        is_empty = live.index.view().count == 0
        if state == "added" or (not state and not is_empty):
            return
        self._marker.write_text("adding")
        pictures = list(samples())
        _log.info("sample_gallery_adding", pictures=len(pictures))
        codes = await asyncio.to_thread(_known_codes, live.record.model, live.model_digest)
        try:
            for start in range(0, len(pictures), _BATCH):
                self.progress = GalleryProgress(start, len(pictures))
                batch = await asyncio.to_thread(_pictures_to_add, pictures[start : start + _BATCH], codes)
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


def _known_codes(model: str, digest: str) -> dict[str, StoredCode]:
    """The shipped codes by SHA-256; empty unless they are of this model."""
    return {
        sha256: StoredCode(
            model=model,
            sha256=sha256,
            width=sample.width,
            height=sample.height,
            media_type="image/jpeg",
            code_bytes=sample.code,
            descriptor=sample.descriptor,
            is_blank=sample.is_blank,
            hash_bytes=sample.hash,
            colours=sample.colours,
        )
        for sha256, sample in sample_codes(digest).items()
    }


def _pictures_to_add(batch: Sequence[Sample], codes: dict[str, StoredCode]) -> list[PictureToAdd]:
    pictures = []
    for sample in batch:
        content = sample.read()
        pictures.append(
            PictureToAdd(
                content,
                image_id=sample.image_id,
                uri=sample.uri,
                metadata=sample.metadata,
                known_code=codes.get(sha256_hex(content)),
            )
        )
    return pictures
