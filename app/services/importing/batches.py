"""Batches of an import: read from the source, bounded in pictures and bytes, and made ready to be written."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Final, Self

from app.domain.duplicates import OnDuplicate
from app.domain.errors import EntryRefused, FetchFailed, InvalidRequest, PictureRefused, UrlNotAllowed
from app.images.entries import read_entry
from app.images.picture_sources import PictureSources
from app.services.importing.imports import SourceKind
from app.services.importing.manifests import Manifest, SourceItem
from app.services.importing.planning import ImportPlanner
from app.services.pictures.preparing import AddedImage, PictureToAdd, Preparation, ReadyImage
from app.store.records import CollectionRecord

BATCH_ITEMS: Final = 128
"""Items of one transaction."""
BATCH_BYTES: Final = 24_000_000
"""A batch ends with the picture that takes it past this, so that memory is bounded whatever is imported."""
FETCHES: Final = 8
"""Referenced pictures read at one time."""

Refusal = tuple[str, str]
"""Why an item is not a picture to add: code and detail."""


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """Consecutive items of a part."""

    start: int
    end: int
    """PictureSources in the part's list of positions."""
    items: Sequence[SourceItem]
    pictures: Sequence[PictureToAdd | Refusal]


class ImportReader:
    """Reads the items of one planned import; keeps its files open until it is closed."""

    def __init__(
        self, manifest: Manifest, archive: IO[bytes] | None, sources: PictureSources, *, max_bytes: int
    ) -> None:
        self._manifest = manifest
        self._archive = archive
        self._sources = sources
        self._max_bytes = max_bytes
        # A read that was cancelled goes on in its thread, and the files have one position each.
        self._lock = threading.Lock()

    @classmethod
    async def open(
        cls,
        planner: ImportPlanner,
        sources: PictureSources,
        job_id: str,
        arguments: dict[str, Any],
        *,
        max_bytes: int,
    ) -> Self:
        """Open an import.

        Args:
            planner: What planned it.
            sources: Where referenced pictures are read.
            job_id: The import.
            arguments: Those of its job.
            max_bytes: Largest picture that is read, in bytes.

        Raises:
            PictureGone: What was uploaded is no longer kept.
            StorageUnavailable: The store does not answer.
        """
        manifest = await asyncio.to_thread(planner.open_manifest, job_id)
        archive = None
        if arguments["source"] == SourceKind.ARCHIVE:
            archive = await asyncio.to_thread(planner.open_archive, job_id, arguments)
        return cls(manifest, archive, sources, max_bytes=max_bytes)

    def close(self) -> None:
        """Close its files."""
        self._manifest.close()
        if self._archive is not None:
            self._archive.close()

    async def read(self, positions: Sequence[int], start: int, size: int) -> ReadBatch:
        """Read up to ``size`` items from place ``start`` of ``positions`` on.

        Raises:
            StorageUnavailable: A store does not answer.
        """
        wanted = positions[start : start + size]
        if self._archive is not None:
            items, pictures = await asyncio.to_thread(self._read_entries, self._archive, wanted)
        else:
            items, pictures = await self._read_references(wanted)
        return ReadBatch(start, start + len(items), items, pictures)

    def _read_entries(
        self, archive: IO[bytes], positions: Sequence[int]
    ) -> tuple[list[SourceItem], list[PictureToAdd | Refusal]]:
        pictures: list[PictureToAdd | Refusal] = []
        size = 0
        with self._lock:
            items = self._manifest.items(positions)
            for item in items:
                if size > BATCH_BYTES:
                    break
                picture = self._read_entry(archive, item)
                size += len(picture.content) if isinstance(picture, PictureToAdd) else 0
                pictures.append(picture)
        return items[: len(pictures)], pictures

    def _read_entry(self, archive: IO[bytes], item: SourceItem) -> PictureToAdd | Refusal:
        if item.error is not None or item.entry is None:
            return item.error or (EntryRefused.code, "the entry cannot be read")
        try:
            return _to_add(item, read_entry(archive, item.entry, self._max_bytes))
        except (EntryRefused, PictureRefused) as error:
            return error.code, error.detail

    async def _read_references(
        self, positions: Sequence[int]
    ) -> tuple[list[SourceItem], list[PictureToAdd | Refusal]]:
        items = await asyncio.to_thread(self._read_manifest, positions)
        pictures: list[PictureToAdd | Refusal] = []
        size = 0
        while len(pictures) < len(items) and size <= BATCH_BYTES:
            some = items[len(pictures) : len(pictures) + FETCHES]
            read = await asyncio.gather(*(self._read_reference(item) for item in some))
            size += sum(len(picture.content) for picture in read if isinstance(picture, PictureToAdd))
            pictures += read
        return items[: len(pictures)], pictures

    def _read_manifest(self, positions: Sequence[int]) -> list[SourceItem]:
        with self._lock:
            return self._manifest.items(positions)

    async def _read_reference(self, item: SourceItem) -> PictureToAdd | Refusal:
        if item.error is not None or item.uri is None:
            return item.error or (InvalidRequest.code, "the item has no uri")
        try:
            return _to_add(item, await self._sources.read(item.uri, self._max_bytes))
        except (UrlNotAllowed, FetchFailed, PictureRefused) as error:
            return error.code, error.detail


async def prepare_batch(
    preparation: Preparation, collection: CollectionRecord, batch: ReadBatch, on_duplicate: OnDuplicate
) -> list[ReadyImage | AddedImage | Refusal]:
    """Decode, encode and keep a batch's pictures; one entry an item, in their order.

    Raises:
        StorageFull: A picture could not be kept.
        Unavailable: The database or the picture store did not answer.
    """
    wanted = [picture for picture in batch.pictures if isinstance(picture, PictureToAdd)]
    ready = iter(await preparation.prepare(collection, wanted, on_duplicate))
    return [next(ready) if isinstance(picture, PictureToAdd) else picture for picture in batch.pictures]


def _to_add(item: SourceItem, content: bytes) -> PictureToAdd:
    return PictureToAdd(content, image_id=item.image_id, uri=item.uri, metadata=item.metadata)
