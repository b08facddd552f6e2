"""Read an import's pictures in batches of bounded size, and prepare them for writing."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Final, Self

from app.concurrency import together
from app.domain.collections import CollectionRecord
from app.domain.duplicates import OnDuplicate
from app.domain.errors import EntryRefused, FetchFailed, InvalidRequest, PictureRefused, UrlNotAllowed
from app.images.entries import read_entry
from app.images.picture_sources import PictureSources
from app.services.importing.imports import SourceKind
from app.services.importing.manifests import Manifest, SourceItem
from app.services.importing.planning import ImportPlanner
from app.services.pictures.preparing import ImageOutcome, PictureToAdd, Preparation, PreparedImage

BATCH_ITEMS: Final = 128
"""Largest number of items written in one transaction."""
BATCH_BYTES: Final = 24_000_000
"""A batch ends with the picture that exceeds this number of bytes, so that memory is bounded."""
FETCHES: Final = 8
"""Number of referenced pictures read concurrently."""

Refusal = tuple[str, str]
"""Code and detail of the error for an item that cannot be read."""


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """Consecutive items of a part, read from their source."""

    start: int
    end: int
    """Bounds in the part's list of positions: ``positions[start:end]``."""
    items: Sequence[SourceItem]
    pictures: Sequence[PictureToAdd | Refusal]
    """One entry for each of ``items``."""


class ImportReader:
    """Read the items of a planned import; keep its files open until closed."""

    def __init__(
        self, manifest: Manifest, archive: IO[bytes] | None, sources: PictureSources, *, max_bytes: int
    ) -> None:
        self._manifest = manifest
        self._archive = archive
        self._sources = sources
        self._max_bytes = max_bytes
        # A cancelled read continues in its thread, and all reads share the file positions.
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
            planner: Opens the staged files.
            sources: Reads referenced pictures.
            job_id: Id of the import's job.
            arguments: Arguments of the job.
            max_bytes: Largest accepted picture, in bytes.

        Raises:
            PictureGone: The staged files were deleted.
            StorageUnavailable: The store does not answer.
        """
        manifest = await asyncio.to_thread(planner.open_manifest, job_id)
        archive = None
        if arguments["source"] == SourceKind.ARCHIVE:
            archive = await asyncio.to_thread(planner.open_archive, job_id, arguments)
        return cls(manifest, archive, sources, max_bytes=max_bytes)

    def close(self) -> None:
        """Close the files."""
        self._manifest.close()
        if self._archive is not None:
            self._archive.close()

    async def read(self, positions: Sequence[int], start: int, size: int) -> ReadBatch:
        """Read the items at ``positions[start : start + size]``, or fewer if their pictures are large.

        Raises:
            StorageUnavailable: A store does not answer.
        """
        chosen = positions[start : start + size]
        if self._archive is not None:
            items, pictures = await asyncio.to_thread(self._read_entries, self._archive, chosen)
        else:
            items, pictures = await self._read_references(chosen)
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
            return _picture_to_add(item, read_entry(archive, item.entry, self._max_bytes))
        except (EntryRefused, PictureRefused) as error:
            return error.code, error.detail

    async def _read_references(
        self, positions: Sequence[int]
    ) -> tuple[list[SourceItem], list[PictureToAdd | Refusal]]:
        items = await asyncio.to_thread(self._read_manifest, positions)
        pictures: list[PictureToAdd | Refusal] = []
        size = 0
        while len(pictures) < len(items) and size <= BATCH_BYTES:
            chunk = items[len(pictures) : len(pictures) + FETCHES]
            fetched = await together(self._read_reference(item) for item in chunk)
            size += sum(len(picture.content) for picture in fetched if isinstance(picture, PictureToAdd))
            pictures += fetched
        return items[: len(pictures)], pictures

    def _read_manifest(self, positions: Sequence[int]) -> list[SourceItem]:
        with self._lock:
            return self._manifest.items(positions)

    async def _read_reference(self, item: SourceItem) -> PictureToAdd | Refusal:
        if item.error is not None or item.uri is None:
            return item.error or (InvalidRequest.code, "the item has no uri")
        try:
            return _picture_to_add(item, await self._sources.read(item.uri, self._max_bytes))
        except (UrlNotAllowed, FetchFailed, PictureRefused) as error:
            return error.code, error.detail


async def prepare_batch(
    preparation: Preparation, collection: CollectionRecord, batch: ReadBatch, on_duplicate: OnDuplicate
) -> list[PreparedImage | ImageOutcome | Refusal]:
    """Decode, encode and store a batch's pictures; return one entry for each item, in order.

    Raises:
        StorageFull: The disk is full.
        Unavailable: The database or the picture store does not answer.
    """
    pictures = [picture for picture in batch.pictures if isinstance(picture, PictureToAdd)]
    ready = iter(await preparation.prepare(collection, pictures, on_duplicate))
    return [next(ready) if isinstance(picture, PictureToAdd) else picture for picture in batch.pictures]


def _picture_to_add(item: SourceItem, content: bytes) -> PictureToAdd:
    return PictureToAdd(content, image_id=item.image_id, uri=item.uri, metadata=item.metadata)
