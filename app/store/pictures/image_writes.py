"""Add, change and delete pictures together with their codes, terms and feed entries."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.changes import ChangeKind
from app.domain.errors import (
    IdExists,
    ModelMismatch,
    UnknownCollection,
    UnknownImage,
    UnknownModel,
)
from app.domain.images import ImageCode, ImageRecord, NewImage
from app.store.driver.faults import violated
from app.store.pictures.changes import ChangeLog
from app.store.pictures.image_parts import ImageParts
from app.store.pictures.images import ImageReader
from app.store.pictures.orphans import OrphanLog
from app.store.schema.tables import collections, images, models

_COLUMNS: Final = tuple(field.name for field in fields(ImageRecord))
_SHARED_FIELDS: Final = tuple(
    field.name for field in fields(NewImage) if field.name not in {"codes", "perceptual_hash", "colours"}
)


class ImageWriter(ImageReader):
    """Reads and writes pictures."""

    def __init__(self, connection: AsyncConnection, log: ChangeLog, orphans: OrphanLog, now: datetime) -> None:
        super().__init__(connection)
        self._parts = ImageParts(connection)
        self._log = log
        self._orphans = orphans
        self._now = now

    async def add(self, collection_pk: int, new: Sequence[NewImage]) -> list[int]:
        """Store pictures; return their insertion numbers in the same order.

        Raises:
            IdExists: An id is taken, or occurs twice in ``new``. The unit must be rolled back.
            ModelMismatch: A picture has no code under the collection's model, which may just have changed.
            UnknownCollection: The collection does not exist.
        """
        if not new:
            return []
        await self._check_codes(collection_pk, new)
        numbers = await self._log.take(len(new))
        records = [
            ImageRecord(
                number=number,
                collection_pk=collection_pk,
                revision=1,
                change=number,
                created_at=self._now,
                updated_at=self._now,
                **_shared_values(image),
            )
            for number, image in zip(numbers, new, strict=True)
        ]
        try:
            await self._connection.execute(sa.insert(images), [_row(record) for record in records])
        except IntegrityError as error:
            if violated(error, "uq_images_collection_pk_image_id", "images.collection_pk, images.image_id"):
                raise IdExists from error
            raise
        await self._insert_parts(records, new)
        await self._log.record_images(ChangeKind.IMAGE_PUT, zip(numbers, records, strict=True))
        return list(numbers)

    async def replace(self, collection_pk: int, number: int, new: NewImage) -> ImageRecord:
        """Replace a picture, with its codes under every model; keep its number, id and ``created_at``.

        Raises:
            UnknownImage: The picture does not exist.
            ModelMismatch: The new picture has no code under the collection's model.
        """
        before = await self._existing(collection_pk, number)
        await self._check_codes(collection_pk, [new])
        change = await self._log.take_one()
        after = self._next_revision(before, change, **_shared_values(new) | {"image_id": before.image_id})
        await self._update(after)
        await self._parts.delete_codes(collection_pk, [number])
        await self._parts.delete_terms([number])
        if after.sha256 != before.sha256:
            await self._parts.delete_verdicts([number])
        await self._insert_parts([after], [new])
        await self._log.record_images(ChangeKind.IMAGE_PUT, [(change, after)])
        if before.has_bytes:
            await self._orphans.note([before.sha256])
        return after

    async def patch(
        self, collection_pk: int, number: int, *, metadata: dict[str, Any], uri: str | None
    ) -> ImageRecord:
        """Change a picture's metadata and URI.

        Raises:
            UnknownImage: The picture does not exist.
        """
        before = await self._existing(collection_pk, number)
        change = await self._log.take_one()
        after = self._next_revision(before, change, metadata=metadata, uri=uri)
        await self._update(after)
        await self._parts.delete_terms([number])
        await self._parts.insert_terms([after])
        await self._log.record_images(ChangeKind.IMAGE_PATCHED, [(change, after)])
        return after

    async def delete(self, collection_pk: int, numbers: Sequence[int]) -> list[ImageRecord]:
        """Delete pictures; return the deleted ones in insertion order."""
        found = await self.by_numbers(collection_pk, sorted(set(numbers)))
        deleted = [found[number] for number in sorted(found)]
        if not deleted:
            return []
        await self._parts.delete_images(collection_pk, [image.number for image in deleted])
        taken = await self._log.take(len(deleted))
        await self._log.record_images(ChangeKind.IMAGE_DELETED, zip(taken, deleted, strict=True))
        await self._orphans.note([image.sha256 for image in deleted if image.has_bytes])
        return deleted

    async def note_orphans(self, sha256s: Sequence[str]) -> None:
        """List files for deletion after the grace period, unless a picture keeps them."""
        await self._orphans.note(sha256s)

    async def take_orphans(self, *, before: datetime, limit: int) -> list[str]:
        """Return files orphaned before that time; delete them from storage before this unit commits."""
        return await self._orphans.take(before, limit)

    async def _check_codes(self, collection_pk: int, new: Sequence[NewImage]) -> None:
        active = await self._connection.scalar(
            sa.select(collections.c.model).where(
                collections.c.pk == collection_pk, collections.c.name.is_not(None)
            )
        )
        if active is None:
            raise UnknownCollection
        if any(active not in {code.model for code in image.codes} for image in new):
            raise ModelMismatch(f"the collection's model is {active}; the picture was encoded under another")
        await self._check_lengths([code for image in new for code in image.codes])

    async def _check_lengths(self, new: Sequence[ImageCode]) -> None:
        names = sorted({code.model for code in new})
        known = sa.select(models.c.name, models.c.bits).where(models.c.name.in_(names))
        bits = {row.name: row.bits for row in await self._connection.execute(known)}
        for code in new:
            if code.model not in bits:
                raise UnknownModel
            if len(code.code) * 8 != bits[code.model]:
                raise ValueError(
                    f"a code of {code.model} has {bits[code.model]} bits; got {len(code.code) * 8}"
                )

    async def _existing(self, collection_pk: int, number: int) -> ImageRecord:
        found = await self.by_numbers(collection_pk, [number])
        if number not in found:
            raise UnknownImage
        return found[number]

    def _next_revision(self, before: ImageRecord, change: int, **fields: Any) -> ImageRecord:
        return replace(before, revision=before.revision + 1, change=change, updated_at=self._now, **fields)

    async def _update(self, image: ImageRecord) -> None:
        await self._connection.execute(
            sa.update(images).where(images.c.number == image.number).values(_row(image))
        )

    async def _insert_parts(self, records: Sequence[ImageRecord], new: Sequence[NewImage]) -> None:
        pairs = zip(records, new, strict=True)
        await self._parts.insert_codes([(record, code) for record, image in pairs for code in image.codes])
        await self._parts.insert_signatures(list(zip(records, new, strict=True)))
        await self._parts.insert_terms(records)
        await self._orphans.rescue([record.sha256 for record in records if record.has_bytes])


def _shared_values(image: NewImage) -> dict[str, Any]:
    """Return the fields that a new picture and its record share."""
    return {name: getattr(image, name) for name in _SHARED_FIELDS}


def _row(image: ImageRecord) -> dict[str, Any]:
    """Return a record's columns; ``asdict`` would deep-copy the metadata."""
    return {name: getattr(image, name) for name in _COLUMNS}
