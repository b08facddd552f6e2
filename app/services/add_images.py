"""Add pictures: decode and encode them, keep their bytes, then write rows and codes in one transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.domain.errors import IdExists, LookalikeError, PictureRefused
from app.domain.filters import check_metadata
from app.domain.ids import content_id, parse_image_id, sha256_hex
from app.images.storage import PictureStore
from app.services.live_collection import LiveCollection
from app.services.models import Models
from app.services.picture_codes import PictureCode, PictureCoder
from app.services.replication import Replication
from app.store.engine import Database
from app.store.records import ImageCode, ImageRecord, Keeps, NewImage
from app.store.unit_of_work import WriteUnit


class OnDuplicate(StrEnum):
    """What becomes of a picture whose id is stored already."""

    SKIP = "skip"
    """The stored one stays as it is."""
    REPLACE = "replace"
    """The new one takes its place, and its insertion number."""
    ERROR = "error"
    """It is refused."""


class Outcome(StrEnum):
    """What became of one picture."""

    CREATED = "created"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PictureToAdd:
    """A picture as the caller hands it over."""

    content: bytes
    image_id: str | None = None
    """``sha256:…`` of the content where the caller chooses none."""
    uri: str | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AddedImage:
    """What became of one picture."""

    image_id: str
    outcome: Outcome
    error: LookalikeError | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the pictures of one request, in the caller's order."""

    images: tuple[AddedImage, ...]
    index_version: int


@dataclass(frozen=True, slots=True)
class _Ready:
    """A picture that is decoded, encoded and kept, and only lacks its row."""

    image: NewImage
    content: bytes


class AddImages:
    """Adds pictures to a collection; what it acknowledges is durable and found by the next search."""

    def __init__(
        self,
        database: Database,
        pictures: PictureStore,
        replication: Replication,
        models: Models,
        coder: PictureCoder,
    ) -> None:
        """Join the picture store, the database and the index."""
        self._database = database
        self._pictures = pictures
        self._replication = replication
        self._models = models
        self._coder = coder

    async def add(
        self, pictures: Sequence[PictureToAdd], collection: str, on_duplicate: OnDuplicate = OnDuplicate.SKIP
    ) -> Added:
        """Add each picture, or say why not; one refused picture does not keep the others out.

        Raises:
            UnknownCollection: There is no such collection.
            StorageFull: A picture could not be kept; nothing of the request was written.
            Unavailable: The database or the picture store did not answer; nothing was written.
        """
        live = self._replication.collection(collection)
        ids = [_id_or_error(picture) for picture in pictures]
        wanted = [image_id for image_id in ids if isinstance(image_id, str)]
        async with self._database.read() as unit:
            stored = await unit.images.get_many(live.record.pk, wanted)
        prepared = await asyncio.gather(
            *(
                self._prepare(live, picture, image_id, stored, on_duplicate)
                for picture, image_id in zip(pictures, ids, strict=True)
            )
        )
        ready = [item for item in prepared if isinstance(item, _Ready)]
        written = await self._write(live, ready, on_duplicate) if ready else {}
        outcomes = [written[id(item)] if isinstance(item, _Ready) else item for item in prepared]
        return Added(tuple(outcomes), self._replication.version)

    async def _prepare(
        self,
        live: LiveCollection,
        picture: PictureToAdd,
        image_id: str | LookalikeError,
        stored: dict[str, ImageRecord],
        on_duplicate: OnDuplicate,
    ) -> _Ready | AddedImage:
        if isinstance(image_id, LookalikeError):
            return AddedImage(picture.image_id or "", Outcome.FAILED, image_id)
        if image_id in stored and on_duplicate is not OnDuplicate.REPLACE:
            # Known before the picture is decoded, so adding a folder again costs next to nothing.
            return _kept(image_id, on_duplicate)
        try:
            metadata = check_metadata(picture.metadata or {})
            model = await self._models.serving(live.record.model)
            coded = await self._coder.code(picture.content, model)
        except LookalikeError as error:
            if isinstance(error, PictureRefused) or error.code == "validation_failed":
                return AddedImage(image_id, Outcome.FAILED, error)
            raise
        keeps = live.record.keeps is Keeps.COPIES
        if keeps:
            # Before the row: a row never names bytes that were not kept. Bytes without a row are swept.
            await self._pictures.put(coded.sha256, picture.content)
        image = _new_image(image_id, picture, coded, metadata, keeps=keeps, model=live.record.model)
        return _Ready(image, picture.content)

    async def _write(
        self, live: LiveCollection, ready: Sequence[_Ready], on_duplicate: OnDuplicate
    ) -> dict[int, AddedImage]:
        outcomes: dict[int, AddedImage] = {}
        async with self._database.write() as unit:
            # Another request may have added some of them since they were looked up.
            stored = await unit.images.get_many(live.record.pk, [item.image.image_id for item in ready])
            fresh: dict[str, _Ready] = {}
            for item in ready:
                image_id = item.image.image_id
                if image_id in stored and on_duplicate is OnDuplicate.REPLACE:
                    outcomes[id(item)] = await self._replace(unit, live, stored[image_id], item)
                elif image_id in fresh and on_duplicate is OnDuplicate.REPLACE:
                    # Twice in one request: the last one stays, as if they had come one after the other.
                    fresh[image_id] = item
                    outcomes[id(item)] = AddedImage(image_id, Outcome.REPLACED)
                elif image_id in stored or image_id in fresh:
                    outcomes[id(item)] = _kept(image_id, on_duplicate)
                else:
                    fresh[image_id] = item
                    outcomes[id(item)] = AddedImage(image_id, Outcome.CREATED)
            if fresh:
                await unit.images.add(live.record.pk, [item.image for item in fresh.values()])
        await self._confirm_kept(ready)
        await self._replication.catch_up(unit.last_change)
        return outcomes

    async def _replace(
        self, unit: WriteUnit, live: LiveCollection, stored: ImageRecord, item: _Ready
    ) -> AddedImage:
        image = item.image
        if (stored.sha256, stored.uri, stored.metadata) == (image.sha256, image.uri, image.metadata):
            return AddedImage(image.image_id, Outcome.UNCHANGED)
        await unit.images.replace(live.record.pk, stored.number, image)
        return AddedImage(image.image_id, Outcome.REPLACED)

    async def _confirm_kept(self, ready: Sequence[_Ready]) -> None:
        """Put back bytes that a sweep of deleted pictures took between ``put`` and the commit."""
        for item in ready:
            if item.image.has_bytes and not await self._pictures.exists(item.image.sha256):
                await self._pictures.put(item.image.sha256, item.content)


def _id_or_error(picture: PictureToAdd) -> str | LookalikeError:
    if picture.image_id is None:
        return content_id(sha256_hex(picture.content))
    try:
        return parse_image_id(picture.image_id)
    except LookalikeError as error:
        return error


def _kept(image_id: str, on_duplicate: OnDuplicate) -> AddedImage:
    if on_duplicate is OnDuplicate.ERROR:
        return AddedImage(image_id, Outcome.FAILED, IdExists(f"a picture {image_id!r} is stored already"))
    return AddedImage(image_id, Outcome.UNCHANGED)


def _new_image(
    image_id: str,
    picture: PictureToAdd,
    coded: PictureCode,
    metadata: dict[str, Any],
    *,
    keeps: bool,
    model: str,
) -> NewImage:
    return NewImage(
        image_id=image_id,
        sha256=coded.sha256,
        uri=picture.uri,
        metadata=metadata,
        width=coded.width,
        height=coded.height,
        media_type=coded.media_type,
        size_bytes=len(picture.content),
        has_bytes=keeps,
        codes=(ImageCode(model, coded.code_bytes, coded.descriptor),),
    )
