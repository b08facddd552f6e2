"""Read, list, change and delete stored pictures, and return their files and thumbnails."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app.domain.errors import (
    FileDamaged,
    Forbidden,
    LookalikeError,
    PictureGone,
    UnknownImage,
)
from app.domain.filters import Filter, check_metadata
from app.domain.images import ImageRecord
from app.images.objects import PIECE_BYTES, Pieces
from app.images.positions import Patch, TooMuchMetadata, apply_patches, patches_against_positions
from app.images.storage import PictureStore
from app.images.thumbnails import THUMBNAIL_MEDIA_TYPE, make_thumbnail
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.pictures.coding import PictureCoder
from app.services.pictures.grouped_writes import GroupedChanges
from app.store.engine import Database

DELETE_BATCH = 1_000
"""Number of pictures deleted in one transaction, so that other writers get their turn."""
FILES_CHECKED_AT_ONCE = 4
"""Largest number of whole files in memory while they are compared with their checksums."""
MAX_RETURNED_IDS = 1_000
"""Largest number of deleted pictures whose ids are returned."""


@dataclass(frozen=True, slots=True)
class ImagePage:
    """Pictures in the order they were added, or in reverse order."""

    images: tuple[ImageRecord, ...]
    next_after: int | None
    """Insertion number after which the next page starts; None at the end."""


@dataclass(frozen=True, slots=True)
class DeletionResult:
    """The pictures that a deletion removed, or would remove in a dry run."""

    image_ids: tuple[str, ...]
    """Their ids in insertion order, at most ``MAX_RETURNED_IDS``."""
    count: int
    missing: tuple[str, ...]
    """Requested ids that the collection does not contain."""
    index_version: int


class Images:
    """Read, list, change and delete the pictures of collections."""

    def __init__(
        self,
        database: Database,
        pictures: PictureStore,
        catalogue: CollectionCatalogue,
        follower: FeedFollower,
        coder: PictureCoder,
        *,
        serves_positions: bool = False,
    ) -> None:
        """Read rows from ``database`` and files from ``pictures``; ``coder`` decodes for thumbnails.

        With ``serves_positions``, files are returned with the position where they were taken.
        """
        self.serves_positions = serves_positions
        self._checking = asyncio.Semaphore(FILES_CHECKED_AT_ONCE)
        self._database = database
        self._changes = GroupedChanges(database)
        self._pictures = pictures
        self._catalogue = catalogue
        self._follower = follower
        self._coder = coder

    async def get(self, collection: str, image_id: str) -> ImageRecord:
        """Return a picture's record.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownImage: The collection does not contain the picture.
        """
        live = self._catalogue.collection(collection)
        record = await self._database.lookups.image(live.record.pk, image_id)
        if record is None:
            raise UnknownImage(f"there is no picture {image_id!r} in collection {collection!r}")
        return record

    async def page(
        self,
        collection: str,
        *,
        after: int | None,
        limit: int,
        metadata_filter: Filter | None = None,
        newest_first: bool = False,
    ) -> ImagePage:
        """Return the next ``limit`` pictures after number ``after``, or before it if ``newest_first``.

        Raises:
            InvalidFilter: A key of the filter contains only objects.
        """
        live = self._catalogue.collection(collection)
        async with self._database.read() as unit:
            if metadata_filter is not None:
                await unit.images.check_filter(live.record.pk, metadata_filter)
            if newest_first:
                records = await unit.images.newest(live.record.pk, after, limit + 1, metadata_filter)
            else:
                records = await unit.images.page(live.record.pk, after or 0, limit + 1, metadata_filter)
        images = tuple(records[:limit])
        return ImagePage(images, images[-1].number if len(records) > limit else None)

    async def patch(
        self, collection: str, image_id: str, changes: dict[str, Any], *, revision: int | None
    ) -> ImageRecord:
        """Change a picture's ``metadata`` or ``uri``; fields absent from ``changes`` remain.

        Raises:
            UnknownImage: The collection does not contain the picture.
            PreconditionFailed: The picture has another revision than ``revision``.
            InvalidRequest: The metadata cannot be stored.
        """
        live = self._catalogue.collection(collection)
        if "metadata" in changes:
            changes = changes | {"metadata": check_metadata(changes["metadata"])}
        record, change = await self._changes.patch(live.record, image_id, changes, revision=revision)
        await self._follower.catch_up(change)
        return record

    async def delete(self, collection: str, image_id: str, *, revision: int | None = None) -> int:
        """Delete a picture and return the index version without it.

        Raises:
            UnknownImage: The collection does not contain the picture.
            PreconditionFailed: The picture has another revision than ``revision``.
        """
        live = self._catalogue.collection(collection)
        change = await self._changes.delete(live.record, image_id, revision=revision)
        await self._follower.catch_up(change)
        return self._catalogue.version

    async def delete_ids(
        self,
        collection: str,
        image_ids: Sequence[str],
        *,
        dry_run: bool,
        sha256s: Mapping[str, str] | None = None,
    ) -> DeletionResult:
        """Delete pictures by id; unknown ids are not an error and are returned as ``missing``.

        Args:
            collection: Name of the collection.
            image_ids: Ids of the pictures.
            dry_run: Whether to delete nothing and return what would be deleted.
            sha256s: Checksums by id; a picture whose file has another checksum counts as missing.

        Raises:
            UnknownCollection: The collection does not exist.
        """

        def with_checksum(stored: dict[str, ImageRecord]) -> dict[str, ImageRecord]:
            if sha256s is None:
                return stored
            return {name: image for name, image in stored.items() if sha256s[name] == image.sha256}

        live = self._catalogue.collection(collection)
        unique_ids = list(dict.fromkeys(image_ids))
        deleted: dict[str, ImageRecord] = {}
        if dry_run:
            async with self._database.read() as unit:
                deleted = with_checksum(await unit.images.get_many(live.record.pk, unique_ids))
        else:
            for start in range(0, len(unique_ids), DELETE_BATCH):
                batch = unique_ids[start : start + DELETE_BATCH]
                async with self._database.freeing() as writing:
                    # Read in the deleting transaction: an id may name another picture by now.
                    stored = with_checksum(await writing.images.get_many(live.record.pk, batch))
                    await writing.images.delete(live.record.pk, [image.number for image in stored.values()])
                deleted |= stored
                await self._follower.catch_up(writing.last_change)
        missing = tuple(image_id for image_id in unique_ids if image_id not in deleted)
        return DeletionResult(_first_ids(deleted.values()), len(deleted), missing, self._catalogue.version)

    async def delete_matching(
        self, collection: str, metadata_filter: Filter, *, dry_run: bool
    ) -> DeletionResult:
        """Delete every picture that matches the filter.

        Large deletions take several transactions. Each applies the filter again, so that pictures that were
        changed meanwhile and no longer match remain.

        Raises:
            InvalidFilter: A key of the filter contains only objects.
        """
        live = self._catalogue.collection(collection)
        pk = live.record.pk
        async with self._database.read() as unit:
            await unit.images.check_filter(pk, metadata_filter)
            numbers = (await unit.images.numbers_matching(pk, metadata_filter)).tolist()
            first = await unit.images.by_numbers(pk, numbers[:MAX_RETURNED_IDS])
        count = len(numbers)
        if not dry_run:
            count, first = 0, {}
            for start in range(0, len(numbers), DELETE_BATCH):
                batch = numbers[start : start + DELETE_BATCH]
                async with self._database.freeing() as writing:
                    matching = await writing.images.numbers_among(pk, batch, metadata_filter)
                    deleted = await writing.images.delete(pk, matching)
                count += len(deleted)
                first |= {image.number: image for image in deleted[: MAX_RETURNED_IDS - len(first)]}
                await self._follower.catch_up(writing.last_change)
        return DeletionResult(_first_ids(first.values()), count, (), self._catalogue.version)

    async def content(self, record: ImageRecord) -> Pieces:
        """Return a picture's file in pieces, by default without the position where it was taken.

        The whole file is compared with its checksum first, so that no damaged file is served.

        Raises:
            PictureGone: The collection stores references only, or the file cannot be read.
            FileDamaged: The stored file is not the one that was added.
            Forbidden: The file has too much metadata to be searched for positions.
        """
        if not record.has_bytes:
            raise PictureGone
        async with self._checking:
            size, patches, small = await self._checked(record.sha256)
        if small is not None:
            return Pieces(size, _one_piece(small))
        # Read again as the client takes it: clients that wait would hold whole files.
        stored = await self._pictures.read(record.sha256)
        if stored.size_bytes != size:
            raise FileDamaged
        return Pieces(size, _patched(stored.pieces, patches))

    async def _checked(self, sha256: str) -> tuple[int, Sequence[Patch], bytes | None]:
        """Compare a file with its checksum, and keep none of it beyond this call unless it is small.

        Returns:
            The file's size in bytes, the patches to apply to it, and a file of one piece with them applied.

        Raises:
            PictureGone: The file cannot be read.
            FileDamaged: The stored file is not the one that was added.
        """
        content = await self._pictures.get(sha256)
        try:
            patches = (
                [] if self.serves_positions else await asyncio.to_thread(patches_against_positions, content)
            )
        except TooMuchMetadata as error:
            raise Forbidden(
                f"{error}; use the thumbnail, or let the operator set LOOKALIKE_SERVE_POSITIONS"
            ) from error
        small = apply_patches(content, 0, patches) if len(content) <= PIECE_BYTES else None
        return len(content), patches, small

    async def thumbnail(self, record: ImageRecord, size: int) -> tuple[bytes, str]:
        """Return a thumbnail of at most ``size`` × ``size`` pixels, and its media type.

        Create it at the first request, and store it beside the pictures.

        Raises:
            PictureGone: The collection stores references only, or the file cannot be read.
        """
        if not record.has_bytes:
            raise PictureGone
        thumbnail = await self._pictures.get_thumbnail(record.sha256, size)
        if thumbnail is None:
            content = await self._pictures.get(record.sha256)
            _, picture = await self._coder.decode(content)
            thumbnail = await asyncio.to_thread(make_thumbnail, picture.pixels, size)
            # Show the picture even if the thumbnail cannot be stored, for instance on a full disk.
            with suppress(LookalikeError):
                await self._pictures.put_thumbnail(record.sha256, size, thumbnail)
        return thumbnail, THUMBNAIL_MEDIA_TYPE


async def _one_piece(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _patched(pieces: AsyncIterator[bytes], patches: Sequence[Patch]) -> AsyncIterator[bytes]:
    start = 0
    async for piece in pieces:
        yield apply_patches(piece, start, patches)
        start += len(piece)


def _first_ids(images: Iterable[ImageRecord]) -> tuple[str, ...]:
    """Return the first ``MAX_RETURNED_IDS`` ids in insertion order."""
    ordered = sorted(images, key=lambda image: image.number)
    return tuple(image.image_id for image in ordered[:MAX_RETURNED_IDS])
