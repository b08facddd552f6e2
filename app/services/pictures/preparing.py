"""What every addition has in common, be it of one picture or of a million: prepared first, written then."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from app.domain.duplicates import OnDuplicate
from app.domain.errors import IdExists, InvalidRequest, LookalikeError, PictureRefused, UnknownCollection
from app.domain.filters import check_metadata, same_document
from app.domain.ids import content_id, parse_image_id, sha256_hex
from app.images.put_journal import PutJournal
from app.images.storage import PictureStore
from app.services.model_registry.models import Models, ServingModel
from app.services.pictures.coding import PictureCode, PictureCoder
from app.store.engine import Database
from app.store.records import CollectionRecord, ImageCode, ImageRecord, Keeps, NewImage
from app.store.unit_of_work import WriteUnit

_log = structlog.get_logger()


class Outcome(StrEnum):
    """What became of one picture."""

    CREATED = "created"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    """These very bytes are stored under its id."""
    CONFLICT = "conflict"
    """Others are, and stay."""
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
class ReadyImage:
    """A picture that is decoded, encoded and kept, and only lacks its row."""

    image: NewImage
    content: bytes


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A picture that must be decoded and encoded."""

    image_id: str
    picture: PictureToAdd
    metadata: dict[str, Any]


class Preparation:
    """Makes pictures ready to be written, with no lock held and no transaction open."""

    def __init__(
        self,
        database: Database,
        pictures: PictureStore,
        models: Models,
        coder: PictureCoder,
        journal: PutJournal,
    ) -> None:
        """Join the database, the picture store and the encoders; ``journal`` remembers which files were put."""
        self._journal = journal
        self._database = database
        self._pictures = pictures
        self._models = models
        self._coder = coder

    async def prepare(
        self, collection: CollectionRecord, pictures: Sequence[PictureToAdd], on_duplicate: OnDuplicate
    ) -> list[ReadyImage | AddedImage]:
        """Decode, encode and keep pictures, all at one time; what needs no row comes back with its outcome.

        Args:
            collection: Where they will go. Its record is read anew: every model that the collection is searched
                under, or may be switched to, encodes them.
            pictures: The pictures.
            on_duplicate: What becomes of those whose id is stored already.

        Returns:
            One entry a picture, in their order.

        Raises:
            UnknownCollection: The collection is gone.
            StorageFull: A picture could not be kept.
            Unavailable: The database or the picture store did not answer.
        """
        await self._database.check_room()
        ids = [_id_or_error(picture) for picture in pictures]
        wanted = [image_id for image_id in ids if isinstance(image_id, str)]
        async with self._database.read() as unit:
            stored = await unit.images.get_many(collection.pk, wanted)
            present = await unit.collections.by_pk(collection.pk)
        if present is None:
            raise UnknownCollection(f"there is no collection named {collection.name!r}")
        models = await self._serving(present)
        vetted = [
            _vetted(picture, image_id, stored, on_duplicate)
            for picture, image_id in zip(pictures, ids, strict=True)
        ]
        fresh = [item.picture.content for item in vetted if isinstance(item, _Fresh)]
        coded = iter(await self._coder.codes(fresh, models))
        prepared = [
            item if isinstance(item, AddedImage) else _ready(present, item, next(coded)) for item in vetted
        ]
        # Before the rows: a row never names bytes that were not kept. The journal finds those without a row.
        contents = _bytes_to_keep(prepared)
        self._journal.add(list(contents))
        await self._pictures.put_many(contents)
        return prepared

    async def _serving(self, collection: CollectionRecord) -> list[ServingModel]:
        """What encodes a collection's pictures, the model that it is searched under first."""
        serving = [await self._models.serving(collection.model)]
        for model in collection.coded_models[1:]:
            try:
                serving.append(await self._models.serving(model))
            except LookalikeError as error:
                # Nobody searches under it here. What lacks its code is counted, and encoded before a switch.
                _log.warning("model_left_out", collection=collection.name, model=model, detail=error.detail)
        return serving

    async def confirm_kept(self, ready: Sequence[ReadyImage]) -> None:
        """Put back bytes that a sweep of deleted pictures took between ``prepare`` and the commit."""
        contents = _bytes_to_keep(ready)
        missing = await self._pictures.missing(list(contents))
        await self._pictures.put_many({sha256: contents[sha256] for sha256 in missing})


async def write_prepared(
    unit: WriteUnit,
    collection_pk: int,
    prepared: Sequence[ReadyImage | AddedImage],
    on_duplicate: OnDuplicate,
) -> list[AddedImage]:
    """Write the rows of prepared pictures.

    Returns:
        What became of each, in their order.

    Raises:
        ModelMismatch: The collection's model has changed since they were prepared.
        UnknownCollection: The collection is gone.
    """
    ready = [item for item in prepared if isinstance(item, ReadyImage)]
    # Another writer may have added some of them since they were looked up.
    stored = await unit.images.get_many(collection_pk, [item.image.image_id for item in ready])
    fresh: dict[str, ReadyImage] = {}
    outcomes: list[AddedImage] = []
    for item in prepared:
        if isinstance(item, AddedImage):
            outcomes.append(item)
            continue
        image_id = item.image.image_id
        if image_id in stored and on_duplicate is OnDuplicate.REPLACE:
            outcomes.append(await _replace(unit, collection_pk, stored[image_id], item.image))
        elif image_id in fresh and on_duplicate is OnDuplicate.REPLACE:
            # Twice in one batch: the last one stays, as if they had come one after the other.
            fresh[image_id] = item
            outcomes.append(AddedImage(image_id, Outcome.REPLACED))
        elif image_id in stored or image_id in fresh:
            sha256 = (stored[image_id] if image_id in stored else fresh[image_id].image).sha256
            outcomes.append(_kept(image_id, on_duplicate, is_same=sha256 == item.image.sha256))
        else:
            fresh[image_id] = item
            outcomes.append(AddedImage(image_id, Outcome.CREATED))
    if fresh:
        await unit.images.add(collection_pk, [item.image for item in fresh.values()])
    return outcomes


async def _replace(unit: WriteUnit, collection_pk: int, stored: ImageRecord, image: NewImage) -> AddedImage:
    is_same_file = (stored.sha256, stored.uri) == (image.sha256, image.uri)
    if is_same_file and same_document(stored.metadata, image.metadata):
        return AddedImage(image.image_id, Outcome.UNCHANGED)
    await unit.images.replace(collection_pk, stored.number, image)
    return AddedImage(image.image_id, Outcome.REPLACED)


def _bytes_to_keep(prepared: Sequence[ReadyImage | AddedImage]) -> dict[str, bytes]:
    """Files of pictures whose rows will name them, by SHA-256."""
    ready = [item for item in prepared if isinstance(item, ReadyImage)]
    return {item.image.sha256: item.content for item in ready if item.image.has_bytes}


def _id_or_error(picture: PictureToAdd) -> str | LookalikeError:
    if picture.image_id is None:
        return content_id(sha256_hex(picture.content))
    try:
        return parse_image_id(picture.image_id)
    except LookalikeError as error:
        return error


def _vetted(
    picture: PictureToAdd,
    image_id: str | LookalikeError,
    stored: dict[str, ImageRecord],
    on_duplicate: OnDuplicate,
) -> _Fresh | AddedImage:
    if isinstance(image_id, LookalikeError):
        return AddedImage(picture.image_id or "", Outcome.FAILED, image_id)
    if image_id in stored and on_duplicate is not OnDuplicate.REPLACE:
        # Known before the picture is decoded, so adding a folder again costs next to nothing.
        is_same = stored[image_id].sha256 == sha256_hex(picture.content)
        return _kept(image_id, on_duplicate, is_same=is_same)
    try:
        return _Fresh(image_id, picture, check_metadata(picture.metadata or {}))
    except InvalidRequest as error:
        return AddedImage(image_id, Outcome.FAILED, error)


def _ready(
    collection: CollectionRecord, fresh: _Fresh, coded: list[PictureCode] | PictureRefused
) -> ReadyImage | AddedImage:
    if isinstance(coded, PictureRefused):
        return AddedImage(fresh.image_id, Outcome.FAILED, coded)
    return ReadyImage(_new_image(fresh, coded, keeps=collection.keeps is Keeps.COPIES), fresh.picture.content)


def _kept(image_id: str, on_duplicate: OnDuplicate, *, is_same: bool) -> AddedImage:
    """What is to be said of a picture whose id is stored already, by the same bytes or by others."""
    if on_duplicate is OnDuplicate.ERROR:
        return AddedImage(image_id, Outcome.FAILED, IdExists(f"a picture {image_id!r} is stored already"))
    if is_same:
        return AddedImage(image_id, Outcome.UNCHANGED)
    detail = f"another picture is stored as {image_id!r} and stays; on_duplicate=replace takes this one instead"
    return AddedImage(image_id, Outcome.CONFLICT, IdExists(detail))


def _new_image(fresh: _Fresh, coded: Sequence[PictureCode], *, keeps: bool) -> NewImage:
    first = coded[0]
    return NewImage(
        image_id=fresh.image_id,
        sha256=first.sha256,
        uri=fresh.picture.uri,
        metadata=fresh.metadata,
        width=first.width,
        height=first.height,
        media_type=first.media_type,
        size_bytes=len(fresh.picture.content),
        has_bytes=keeps,
        is_blank=first.is_blank,
        codes=tuple(ImageCode(code.model, code.code_bytes, code.descriptor) for code in coded),
    )
