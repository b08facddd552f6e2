"""The shared add pipeline: decode, encode and store pictures first, then write their rows."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import structlog

from app.domain.collections import CollectionRecord, Keeps
from app.domain.duplicates import OnDuplicate
from app.domain.errors import IdExists, InvalidRequest, LookalikeError, PictureRefused, UnknownCollection
from app.domain.filters import check_metadata, same_document
from app.domain.ids import content_id, parse_image_id, sha256_hex
from app.domain.images import ImageCode, ImageRecord, NewImage
from app.images.put_journal import PutJournal
from app.images.spooled import Content, bytes_of
from app.images.storage import PictureStore
from app.services.model_registry.models import Models, ServingModel
from app.services.pictures.coding import PictureCoder, StoredCode
from app.services.pictures.near_duplicates import NearDuplicate
from app.store.engine import Database
from app.store.unit_of_work import WriteUnit

_log = structlog.get_logger()

STORED_TOGETHER_BYTES: Final = 32_000_000
"""Largest total size of files that are in memory to be stored together; a larger file is stored alone."""


class Outcome(StrEnum):
    """Outcomes of adding a picture."""

    CREATED = "created"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    """The same bytes are stored under its id already."""
    CONFLICT = "conflict"
    """Other bytes are stored under its id, and remain."""
    NEAR_DUPLICATE = "near_duplicate"
    """A copy of it is stored under another id."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PictureToAdd:
    """A picture to add, from a request or an import."""

    content: Content
    image_id: str | None = None
    """None for ``sha256:…`` of the content."""
    uri: str | None = None
    metadata: dict[str, Any] | None = None
    known_code: StoredCode | None = None
    """The result of encoding, if known; used if only its model encodes the collection's pictures."""


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """The outcome of adding one picture, with the error if it was not added."""

    image_id: str
    outcome: Outcome
    error: LookalikeError | None = None
    near: tuple[NearDuplicate, ...] | None = None
    """The stored pictures that it is a copy of; None if they were not looked for."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A decoded, encoded and stored picture without a row yet."""

    image: NewImage
    content: Content


@dataclass(frozen=True, slots=True)
class _CheckedImage:
    """A picture with a valid id and valid metadata, to be decoded and encoded."""

    image_id: str
    picture: PictureToAdd
    metadata: dict[str, Any]


class Preparation:
    """Prepare pictures for writing, without holding a lock or a transaction."""

    def __init__(
        self,
        database: Database,
        pictures: PictureStore,
        models: Models,
        coder: PictureCoder,
        journal: PutJournal,
    ) -> None:
        """Encode with ``coder``, store files in ``pictures``, and list them in ``journal``."""
        self._journal = journal
        self._database = database
        self._pictures = pictures
        self._models = models
        self._coder = coder

    async def prepare(
        self, collection: CollectionRecord, pictures: Sequence[PictureToAdd], on_duplicate: OnDuplicate
    ) -> list[PreparedImage | ImageOutcome]:
        """Decode, encode and store pictures; a picture that needs no row is returned with its outcome.

        Args:
            collection: The collection to add to. Its record is read again, and the pictures are encoded under
                its active model and every model that it may be switched to.
            pictures: The pictures.
            on_duplicate: How to treat pictures whose id is stored already.

        Returns:
            One entry for each picture, in order.

        Raises:
            UnknownCollection: The collection was deleted.
            StorageFull: The disk is full.
            Unavailable: The database or the picture store does not answer.
        """
        await self._database.check_room()
        ids = await asyncio.to_thread(_ids_or_errors, pictures)
        valid_ids = [image_id for image_id in ids if isinstance(image_id, str)]
        async with self._database.read() as unit:
            stored = await unit.images.get_many(collection.pk, valid_ids)
            current = await unit.collections.by_pk(collection.pk)
        if current is None:
            raise UnknownCollection(f"there is no collection named {collection.name!r}")
        models = await self._serving_models(current)
        checked = await asyncio.to_thread(_all_checked, pictures, ids, stored, on_duplicate)
        new = [item.picture for item in checked if isinstance(item, _CheckedImage)]
        coded = iter(await self._codes(new, models))
        prepared = [
            item if isinstance(item, ImageOutcome) else _prepared(current, item, next(coded))
            for item in checked
        ]
        # Store files before rows, so that each row's file exists. The journal lists files that get no row.
        files = _files_to_store(prepared)
        self._journal.add(list(files))
        await self._store(files)
        return prepared

    async def _store(self, files: Mapping[str, Content]) -> None:
        """Store files, by SHA-256, in groups, so that few of them are in memory at a time."""
        group: dict[str, Content] = {}
        size = 0
        for sha256, content in files.items():
            if group and size + len(content) > STORED_TOGETHER_BYTES:
                await self._store_group(group)
                group, size = {}, 0
            group[sha256] = content
            size += len(content)
        if group:
            await self._store_group(group)

    async def _store_group(self, group: Mapping[str, Content]) -> None:
        read = await asyncio.to_thread(lambda: {sha256: bytes_of(one) for sha256, one in group.items()})
        await self._pictures.put_many(read)

    async def _codes(
        self, pictures: Sequence[PictureToAdd], models: Sequence[ServingModel]
    ) -> list[Sequence[StoredCode] | PictureRefused]:
        """Return each picture's codes under the models, known or computed, or why it has none."""
        names = [model.artifact.name for model in models]
        known = [_known_codes(picture, names) for picture in pictures]
        to_encode = [picture.content for picture, codes in zip(pictures, known, strict=True) if codes is None]
        computed = iter(await self._coder.codes(to_encode, models))
        return [next(computed) if codes is None else codes for codes in known]

    async def _serving_models(self, collection: CollectionRecord) -> list[ServingModel]:
        """Return the models that encode a collection's pictures, the active one first."""
        serving = [await self._models.serving(collection.model)]
        for model in collection.coded_models[1:]:
            try:
                serving.append(await self._models.serving(model))
            except LookalikeError as error:
                # No search uses this model here. Pictures without its code are encoded before a switch.
                _log.warning("model_left_out", collection=collection.name, model=model, detail=error.detail)
        return serving

    async def store_missing_files(self, prepared: Sequence[PreparedImage]) -> None:
        """Store files again that a sweep of deleted pictures removed between ``prepare`` and the commit."""
        files = _files_to_store(prepared)
        missing = await self._pictures.missing(list(files))
        await self._store({sha256: files[sha256] for sha256 in missing})


async def write_prepared(
    unit: WriteUnit,
    collection_pk: int,
    prepared: Sequence[PreparedImage | ImageOutcome],
    on_duplicate: OnDuplicate,
) -> list[ImageOutcome]:
    """Write the rows of prepared pictures.

    Returns:
        One outcome for each picture, in order.

    Raises:
        ModelMismatch: The collection's model has changed since the pictures were prepared.
        UnknownCollection: The collection was deleted.
    """
    ids = [item.image.image_id for item in prepared if isinstance(item, PreparedImage)]
    # Look again: another writer may have added some of them since they were prepared.
    stored = await unit.images.get_many(collection_pk, ids)
    new: dict[str, PreparedImage] = {}
    outcomes: list[ImageOutcome] = []
    for item in prepared:
        if isinstance(item, ImageOutcome):
            outcomes.append(item)
            continue
        image_id = item.image.image_id
        if image_id in stored and on_duplicate is OnDuplicate.REPLACE:
            outcome, stored[image_id] = await _replace(unit, collection_pk, stored[image_id], item.image)
            outcomes.append(outcome)
        elif image_id in new and on_duplicate is OnDuplicate.REPLACE:
            # Of several pictures with one id in a batch, the last one remains.
            new[image_id] = item
            outcomes.append(ImageOutcome(image_id, Outcome.REPLACED))
        elif image_id in stored or image_id in new:
            sha256 = (stored[image_id] if image_id in stored else new[image_id].image).sha256
            outcomes.append(_duplicate_outcome(image_id, on_duplicate, is_same=sha256 == item.image.sha256))
        else:
            new[image_id] = item
            outcomes.append(ImageOutcome(image_id, Outcome.CREATED))
    if new:
        await unit.images.add(collection_pk, [item.image for item in new.values()])
    return outcomes


async def _replace(
    unit: WriteUnit, collection_pk: int, stored: ImageRecord, image: NewImage
) -> tuple[ImageOutcome, ImageRecord]:
    """Return the outcome, and the picture as it is stored now."""
    is_same_file = (stored.sha256, stored.uri) == (image.sha256, image.uri)
    if is_same_file and same_document(stored.metadata, image.metadata):
        return ImageOutcome(image.image_id, Outcome.UNCHANGED), stored
    after = await unit.images.replace(collection_pk, stored.number, image)
    return ImageOutcome(image.image_id, Outcome.REPLACED), after


def _files_to_store(prepared: Sequence[PreparedImage | ImageOutcome]) -> dict[str, Content]:
    """Return the files that rows will refer to, by SHA-256."""
    images = [item for item in prepared if isinstance(item, PreparedImage)]
    return {item.image.sha256: item.content for item in images if item.image.has_bytes}


def _ids_or_errors(pictures: Sequence[PictureToAdd]) -> list[str | LookalikeError]:
    return [_id_or_error(picture) for picture in pictures]


def _id_or_error(picture: PictureToAdd) -> str | LookalikeError:
    if picture.image_id is None:
        return content_id(sha256_hex(bytes_of(picture.content)))
    try:
        return parse_image_id(picture.image_id)
    except LookalikeError as error:
        return error


def _all_checked(
    pictures: Sequence[PictureToAdd],
    ids: Sequence[str | LookalikeError],
    stored: dict[str, ImageRecord],
    on_duplicate: OnDuplicate,
) -> list[_CheckedImage | ImageOutcome]:
    return [
        _checked(picture, image_id, stored, on_duplicate)
        for picture, image_id in zip(pictures, ids, strict=True)
    ]


def _checked(
    picture: PictureToAdd,
    image_id: str | LookalikeError,
    stored: dict[str, ImageRecord],
    on_duplicate: OnDuplicate,
) -> _CheckedImage | ImageOutcome:
    if isinstance(image_id, LookalikeError):
        return ImageOutcome(picture.image_id or "", Outcome.FAILED, image_id)
    try:
        metadata = check_metadata(picture.metadata or {})
    except InvalidRequest as error:
        return ImageOutcome(image_id, Outcome.FAILED, error)
    if image_id in stored and on_duplicate is not OnDuplicate.REPLACE:
        # Skip decoding, so that adding a folder again is cheap.
        is_same = stored[image_id].sha256 == sha256_hex(bytes_of(picture.content))
        return _duplicate_outcome(image_id, on_duplicate, is_same=is_same)
    return _CheckedImage(image_id, picture, metadata)


def _known_codes(picture: PictureToAdd, models: Sequence[str]) -> list[StoredCode] | None:
    code = picture.known_code
    return [code] if code is not None and [code.model] == models else None


def _prepared(
    collection: CollectionRecord, checked: _CheckedImage, codes: Sequence[StoredCode] | PictureRefused
) -> PreparedImage | ImageOutcome:
    if isinstance(codes, PictureRefused):
        return ImageOutcome(checked.image_id, Outcome.FAILED, codes)
    image = _new_image(checked, codes, has_bytes=collection.keeps is Keeps.COPIES)
    return PreparedImage(image, checked.picture.content)


def _duplicate_outcome(image_id: str, on_duplicate: OnDuplicate, *, is_same: bool) -> ImageOutcome:
    """Return the outcome for a picture whose id is stored already, with the same bytes or others."""
    if on_duplicate is OnDuplicate.ERROR:
        return ImageOutcome(image_id, Outcome.FAILED, IdExists(f"a picture {image_id!r} is stored already"))
    if is_same:
        return ImageOutcome(image_id, Outcome.UNCHANGED)
    detail = f"another picture is stored as {image_id!r}; to replace it, use on_duplicate=replace"
    return ImageOutcome(image_id, Outcome.CONFLICT, IdExists(detail))


def _new_image(checked: _CheckedImage, codes: Sequence[StoredCode], *, has_bytes: bool) -> NewImage:
    first = codes[0]
    return NewImage(
        image_id=checked.image_id,
        sha256=first.sha256,
        uri=checked.picture.uri,
        metadata=checked.metadata,
        width=first.width,
        height=first.height,
        media_type=first.media_type,
        size_bytes=len(checked.picture.content),
        has_bytes=has_bytes,
        is_blank=first.is_blank,
        perceptual_hash=first.hash_bytes,
        colours=first.colours,
        codes=tuple(ImageCode(code.model, code.code_bytes, code.descriptor) for code in codes),
    )
