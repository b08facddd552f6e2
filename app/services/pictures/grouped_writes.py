"""Additions, changes and deletions of pictures that share write units with those of other requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.collections import CollectionRecord
from app.domain.duplicates import OnDuplicate
from app.domain.errors import LookalikeError, PreconditionFailed, UnknownImage
from app.domain.images import ImageRecord
from app.services.pictures.preparing import ImageOutcome, PreparedImage, write_prepared
from app.services.pictures.shared_units import SharedUnits, Written
from app.store.engine import Database
from app.store.unit_of_work import WriteUnit


class GroupedAdditions:
    """Writes prepared pictures, those of several requests together."""

    def __init__(self, database: Database) -> None:
        """Write to ``database``."""
        self._units = SharedUnits(database.write, _add, id_of=_id_of_prepared)

    async def write(
        self, collection_pk: int, prepared: Sequence[PreparedImage | ImageOutcome], on_duplicate: OnDuplicate
    ) -> Written[ImageOutcome]:
        """Write the pictures of one request; once it returns, they are durable.

        If the caller is cancelled before its turn, nothing is written.

        Raises:
            ModelMismatch: The collection's model has changed since the pictures were prepared.
            UnknownCollection: The collection was deleted.
            StorageFull: The disk is full.
            DatabaseUnavailable: The database does not answer.
        """
        return await self._units.write((collection_pk, on_duplicate), prepared)


async def _add(
    unit: WriteUnit, key: tuple[int, OnDuplicate], prepared: Sequence[PreparedImage | ImageOutcome]
) -> list[ImageOutcome]:
    return await write_prepared(unit, key[0], prepared, key[1])


def _id_of_prepared(item: PreparedImage | ImageOutcome) -> str | None:
    return item.image.image_id if isinstance(item, PreparedImage) else None


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of one picture, or its deletion."""

    image_id: str
    revision: int | None
    """The revision that the picture must have; None for any."""
    fields: Mapping[str, Any] | None
    """New values of ``metadata`` and ``uri``; None for a deletion."""


class GroupedChanges:
    """Changes and deletes single pictures, those of several requests together."""

    def __init__(self, database: Database) -> None:
        """Write to ``database``."""
        self._patches = SharedUnits(database.write, _patch, id_of=_id_of_change)
        self._deletions = SharedUnits(database.freeing, _delete, id_of=_id_of_change)

    async def patch(
        self, collection: CollectionRecord, image_id: str, fields: Mapping[str, Any], *, revision: int | None
    ) -> tuple[ImageRecord, int]:
        """Change a picture's ``metadata`` or ``uri``; fields absent from ``fields`` remain.

        Returns:
            The changed picture, and the highest change number of the transaction.

        Raises:
            UnknownImage: The collection does not contain the picture.
            PreconditionFailed: The picture has another revision than ``revision``.
        """
        written = await self._patches.write(_key(collection), [_Change(image_id, revision, fields)])
        return _record_of(written), written.change

    async def delete(self, collection: CollectionRecord, image_id: str, *, revision: int | None) -> int:
        """Delete a picture.

        Returns:
            The highest change number of the transaction.

        Raises:
            UnknownImage: The collection does not contain the picture.
            PreconditionFailed: The picture has another revision than ``revision``.
        """
        written = await self._deletions.write(_key(collection), [_Change(image_id, revision, None)])
        _record_of(written)
        return written.change


_Key = tuple[int, str]
"""Primary key and name of a collection."""


def _key(collection: CollectionRecord) -> _Key:
    return collection.pk, collection.name


def _id_of_change(change: _Change) -> str:
    return change.image_id


def _record_of(written: Written[ImageRecord | LookalikeError]) -> ImageRecord:
    [outcome] = written.outcomes
    if isinstance(outcome, LookalikeError):
        raise outcome
    return outcome


async def _patch(unit: WriteUnit, key: _Key, changes: Sequence[_Change]) -> list[ImageRecord | LookalikeError]:
    outcomes: list[ImageRecord | LookalikeError] = []
    for change, stored in zip(changes, await _stored(unit, key, changes), strict=True):
        if isinstance(stored, LookalikeError) or change.fields is None:
            outcomes.append(stored)
            continue
        outcomes.append(
            await unit.images.patch(
                key[0],
                stored.number,
                metadata=change.fields.get("metadata", stored.metadata),
                uri=change.fields.get("uri", stored.uri),
            )
        )
    return outcomes


async def _delete(unit: WriteUnit, key: _Key, changes: Sequence[_Change]) -> list[ImageRecord | LookalikeError]:
    outcomes = await _stored(unit, key, changes)
    await unit.images.delete(key[0], [stored.number for stored in outcomes if isinstance(stored, ImageRecord)])
    return outcomes


async def _stored(unit: WriteUnit, key: _Key, changes: Sequence[_Change]) -> list[ImageRecord | LookalikeError]:
    """Return the picture of each change, or the reason why it cannot be changed."""
    pk, collection = key
    stored = await unit.images.get_many(pk, [change.image_id for change in changes])
    outcomes: list[ImageRecord | LookalikeError] = []
    for change in changes:
        record = stored.get(change.image_id)
        if record is None:
            outcomes.append(
                UnknownImage(f"there is no picture {change.image_id!r} in collection {collection!r}")
            )
        elif change.revision is not None and record.revision != change.revision:
            outcomes.append(PreconditionFailed())
        else:
            outcomes.append(record)
    return outcomes
