"""Give a service that has no pictures yet some to look at, once."""

import asyncio
import itertools
from pathlib import Path
from typing import Final

import structlog

from app.samples import Sample, samples
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.pictures.adding import AddImages, PictureToAdd
from app.services.pictures.collections import DEFAULT_COLLECTION

_log = structlog.get_logger()

_BATCH: Final = 32


async def add_samples_on_first_start(
    add_images: AddImages, catalogue: CollectionCatalogue, data_dir: Path
) -> None:
    """Add the sample gallery to an empty default collection; what is deleted later stays deleted.

    A marker in the data folder tells a first start from later ones, and one cut off from one that ended.
    """
    marker = data_dir / "sample-gallery"
    state = marker.read_text() if marker.exists() else ""
    is_empty = catalogue.collection(DEFAULT_COLLECTION).index.view().count == 0
    if state == "added" or (not state and not is_empty):
        return
    marker.write_text("adding")
    pictures = samples()
    while batch := await asyncio.to_thread(lambda: [_to_add(s) for s in itertools.islice(pictures, _BATCH)]):
        await add_images.add(batch, DEFAULT_COLLECTION)
    marker.write_text("added")
    _log.info("sample_gallery_added")


def _to_add(sample: Sample) -> PictureToAdd:
    return PictureToAdd(sample.read(), image_id=sample.image_id, uri=sample.uri, metadata=sample.metadata)
