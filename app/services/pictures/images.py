"""Stored pictures: read, list, change and delete them; their bytes and thumbnails."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.errors import LookalikeError, PictureGone, PreconditionFailed, UnknownImage
from app.domain.filters import Filter, check_metadata
from app.images.objects import Pieces
from app.images.storage import PictureStore
from app.images.thumbnails import THUMBNAIL_MEDIA_TYPE, make_thumbnail
from app.services.index_sync.catalogue import CollectionCatalogue
from app.services.index_sync.feed_follower import FeedFollower
from app.services.pictures.coding import PictureCoder
from app.store.engine import Database
from app.store.records import ImageRecord

DELETE_BATCH = 1_000
"""Pictures deleted in one transaction, so that other writers get their turn."""
NAMED_AT_MOST = 1_000
"""Deleted pictures whose ids are returned."""


@dataclass(frozen=True, slots=True)
class ImagePage:
    """Pictures in the order in which they were added, or its reverse."""

    images: tuple[ImageRecord, ...]
    next_after: int | None
    """Insertion number to go on behind, or nothing at the end."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion took away, or would take away."""

    image_ids: tuple[str, ...]
    """Of the pictures concerned; at most the first 1,000."""
    count: int
    missing: tuple[str, ...]
    """Ids asked for that the collection does not have."""
    index_version: int


class Images:
    """The pictures of every collection, one at a time or by filter."""

    def __init__(
        self,
        database: Database,
        pictures: PictureStore,
        catalogue: CollectionCatalogue,
        follower: FeedFollower,
        coder: PictureCoder,
    ) -> None:
        """Join the database, the picture store and the index."""
        self._database = database
        self._pictures = pictures
        self._catalogue = catalogue
        self._follower = follower
        self._coder = coder

    async def get(self, collection: str, image_id: str) -> ImageRecord:
        """One picture's record.

        Raises:
            UnknownCollection: There is no such collection.
            UnknownImage: The collection has no such picture.
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
        """Return the next ``limit`` pictures behind insertion number ``after``.

        Raises:
            InvalidFilter: A key of the filter holds objects only.
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
        """Change a picture's ``metadata`` or ``uri``; what is absent from ``changes`` stays.

        Raises:
            UnknownImage: The collection has no such picture.
            PreconditionFailed: Its revision is not the one given.
            InvalidRequest: The metadata cannot be stored.
        """
        live = self._catalogue.collection(collection)
        if "metadata" in changes:
            changes = changes | {"metadata": check_metadata(changes["metadata"])}
        async with self._database.write() as unit:
            stored = await unit.images.get(live.record.pk, image_id)
            if stored is None:
                raise UnknownImage(f"there is no picture {image_id!r} in collection {collection!r}")
            if revision is not None and stored.revision != revision:
                raise PreconditionFailed
            record = await unit.images.patch(
                live.record.pk,
                stored.number,
                metadata=changes.get("metadata", stored.metadata),
                uri=changes.get("uri", stored.uri),
            )
        await self._follower.catch_up(unit.last_change)
        return record

    async def delete(self, collection: str, image_id: str, *, revision: int | None = None) -> int:
        """Delete one picture and return the index version that lacks it.

        Raises:
            UnknownImage: The collection has no such picture.
            PreconditionFailed: Its revision is not the one given.
        """
        live = self._catalogue.collection(collection)
        async with self._database.freeing() as unit:
            stored = await unit.images.get(live.record.pk, image_id)
            if stored is None:
                raise UnknownImage(f"there is no picture {image_id!r} in collection {collection!r}")
            if revision is not None and stored.revision != revision:
                raise PreconditionFailed
            await unit.images.delete(live.record.pk, [stored.number])
        await self._follower.catch_up(unit.last_change)
        return self._catalogue.version

    async def delete_ids(
        self,
        collection: str,
        image_ids: Sequence[str],
        *,
        dry_run: bool,
        sha256s: Mapping[str, str] | None = None,
    ) -> Deleted:
        """Delete the pictures by these ids; ids that do not exist are reported, not an error.

        With ``sha256s``, by id, only pictures whose file has that checksum.
        """

        def those_meant(stored: dict[str, ImageRecord]) -> dict[str, ImageRecord]:
            if sha256s is None:
                return stored
            return {name: image for name, image in stored.items() if sha256s[name] == image.sha256}

        live = self._catalogue.collection(collection)
        wanted = list(dict.fromkeys(image_ids))
        gone: dict[str, ImageRecord] = {}
        if dry_run:
            async with self._database.read() as unit:
                gone = those_meant(await unit.images.get_many(live.record.pk, wanted))
        else:
            for start in range(0, len(wanted), DELETE_BATCH):
                batch = wanted[start : start + DELETE_BATCH]
                async with self._database.freeing() as writing:
                    # Read in the deleting transaction: an id may have come to name another picture.
                    stored = those_meant(await writing.images.get_many(live.record.pk, batch))
                    await writing.images.delete(live.record.pk, [image.number for image in stored.values()])
                gone |= stored
                await self._follower.catch_up(writing.last_change)
        missing = tuple(image_id for image_id in wanted if image_id not in gone)
        return Deleted(_first_ids(gone.values()), len(gone), missing, self._catalogue.version)

    async def delete_matching(self, collection: str, metadata_filter: Filter, *, dry_run: bool) -> Deleted:
        """Delete every picture whose metadata passes the filter.

        Large deletions take several transactions. Each decides the filter again, so that a picture that was
        changed meanwhile, and does not pass any more, stays.

        Raises:
            InvalidFilter: A key of the filter holds objects only.
        """
        live = self._catalogue.collection(collection)
        pk = live.record.pk
        async with self._database.read() as unit:
            await unit.images.check_filter(pk, metadata_filter)
            numbers = (await unit.images.numbers_matching(pk, metadata_filter)).tolist()
            first = await unit.images.by_numbers(pk, numbers[:NAMED_AT_MOST])
        count = len(numbers)
        if not dry_run:
            count, first = 0, {}
            for start in range(0, len(numbers), DELETE_BATCH):
                batch = numbers[start : start + DELETE_BATCH]
                async with self._database.freeing() as writing:
                    passing = await writing.images.numbers_among(pk, batch, metadata_filter)
                    gone = await writing.images.delete(pk, passing)
                count += len(gone)
                first |= {image.number: image for image in gone[: NAMED_AT_MOST - len(first)]}
                await self._follower.catch_up(writing.last_change)
        return Deleted(_first_ids(first.values()), count, (), self._catalogue.version)

    async def content(self, collection: str, image_id: str) -> tuple[ImageRecord, Pieces]:
        """A picture's record and its original bytes, piece by piece.

        Raises:
            UnknownImage: The collection has no such picture.
            PictureGone: The collection keeps references only, or the bytes cannot be read.
        """
        record = await self.get(collection, image_id)
        if not record.has_bytes:
            raise PictureGone
        return record, await self._pictures.read(record.sha256)

    async def thumbnail(self, record: ImageRecord, size: int) -> tuple[bytes, str]:
        """A picture made to fit ``size`` × ``size`` pixels, and its media type.

        Made when first asked for and kept beside the pictures.

        Raises:
            PictureGone: The collection keeps references only, or the bytes cannot be read.
        """
        if not record.has_bytes:
            raise PictureGone
        kept = await self._pictures.get_thumbnail(record.sha256, size)
        if kept is None:
            content = await self._pictures.get(record.sha256)
            _, picture = await self._coder.decode(content)
            kept = await asyncio.to_thread(make_thumbnail, picture.pixels, size)
            try:
                await self._pictures.put_thumbnail(record.sha256, size, kept)
            except LookalikeError:
                # A full disk must not keep a picture from being shown.
                return kept, THUMBNAIL_MEDIA_TYPE
        return kept, THUMBNAIL_MEDIA_TYPE


def _first_ids(images: Iterable[ImageRecord]) -> tuple[str, ...]:
    """Ids in insertion order, at most the first 1,000."""
    ordered = sorted(images, key=lambda image: image.number)
    return tuple(image.image_id for image in ordered[:NAMED_AT_MOST])
