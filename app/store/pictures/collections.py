"""Collections: named sets of pictures, each searched under one model."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.changes import ChangeKind
from app.domain.collections import CollectionRecord, IndexKind, Keeps
from app.domain.errors import CollectionExists, UnknownCollection, UnknownModel
from app.store.driver.faults import violated
from app.store.pictures.changes import ChangeLog
from app.store.pictures.image_parts import ImageParts
from app.store.pictures.orphans import OrphanLog
from app.store.schema.tables import collections, images, learned_words, models


def _record(row: sa.Row[Any]) -> CollectionRecord:
    typed = {"keeps": Keeps(row.keeps), "index_kind": IndexKind(row.index_kind)}
    return CollectionRecord(**{**row._asdict(), **typed})


def _select_existing() -> sa.Select[Any]:
    return sa.select(collections).where(collections.c.name.is_not(None))


class CollectionReader:
    """Reads collections."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, name: str) -> CollectionRecord | None:
        """Return the collection with this name, or None."""
        return await self._one(collections.c.name == name)

    async def by_pk(self, pk: int) -> CollectionRecord | None:
        """Return the collection with this key, or None if it was deleted."""
        return await self._one(collections.c.pk == pk)

    async def list_all(self) -> list[CollectionRecord]:
        """Return all collections, ordered by name."""
        rows = await self._connection.execute(_select_existing().order_by(collections.c.name))
        return [_record(row) for row in rows]

    async def _one(self, condition: sa.ColumnElement[bool]) -> CollectionRecord | None:
        row = (await self._connection.execute(_select_existing().where(condition))).one_or_none()
        return None if row is None else _record(row)


class CollectionWriter(CollectionReader):
    """Reads and writes collections."""

    def __init__(self, connection: AsyncConnection, log: ChangeLog, orphans: OrphanLog, now: datetime) -> None:
        super().__init__(connection)
        self._log = log
        self._orphans = orphans
        self._parts = ImageParts(connection)
        self._now = now

    async def create(
        self,
        name: str,
        *,
        model: str,
        keeps: str,
        description: str | None = None,
        index_kind: IndexKind = IndexKind.LOCAL,
    ) -> CollectionRecord:
        """Create a collection. Its key is a change number, so keys are never reused.

        Raises:
            CollectionExists: The name is taken. The unit must be rolled back.
            UnknownModel: The model does not exist.
        """
        await self._require_model(model)
        pk = await self._log.take_one()
        created = CollectionRecord(
            pk=pk,
            name=name,
            model=model,
            previous_model=None,
            keeps=Keeps(keeps),
            description=description,
            created_at=self._now,
            updated_at=self._now,
            index_kind=index_kind,
        )
        try:
            await self._connection.execute(sa.insert(collections).values(asdict(created)))
        except IntegrityError as error:
            if violated(error, "uq_collections_name", "collections.name"):
                raise CollectionExists from error
            raise
        await self._log.record(ChangeKind.COLLECTION_PUT, pk, collection_pk=pk, model=model)
        return created

    async def update(self, pk: int, *, description: str | None) -> CollectionRecord:
        """Change a collection's description.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        change = await self._log.take_one()
        return await self._put(replace(await self._existing(pk), description=description), change)

    async def prepare_model(self, pk: int, model: str | None) -> CollectionRecord:
        """Encode new pictures under a second model too; None stops that.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownModel: The model does not exist.
        """
        return await self._change_model(pk, model, lambda before: replace(before, next_model=model))

    async def warm_model(self, pk: int, model: str | None) -> CollectionRecord:
        """Make every process load the index of another model before a switch; None stops that.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownModel: The model does not exist.
        """
        return await self._change_model(pk, model, lambda before: replace(before, warming_model=model))

    async def switch_model(self, pk: int, model: str) -> CollectionRecord:
        """Search a collection under another model from now on; remember the previous one.

        Raises:
            UnknownCollection: The collection does not exist.
            UnknownModel: The model does not exist.
        """
        change = await self._log.take_one()
        await self._require_model(model)
        before = await self._existing(pk)
        next_model = None if before.next_model == model else before.next_model
        after = replace(
            before, model=model, previous_model=before.model, next_model=next_model, warming_model=None
        )
        return await self._put(after, change)

    async def forget_models(self, pk: int) -> CollectionRecord:
        """Drop the references to the previous, next and warming models; a rollback is then impossible.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        before = await self._existing(pk)
        change = await self._log.take_one()
        after = replace(before, previous_model=None, next_model=None, warming_model=None)
        return await self._put(after, change)

    async def delete(self, pk: int) -> None:
        """Delete a collection. It disappears when this unit commits; ``sweep`` removes its pictures in batches.

        Removing a million pictures at once would lock SQLite for half a minute.

        Raises:
            UnknownCollection: The collection does not exist.
        """
        await self._existing(pk)
        change = await self._log.take_one()
        await self._connection.execute(sa.update(collections).where(collections.c.pk == pk).values(name=None))
        await self._log.record(ChangeKind.COLLECTION_DELETED, change, collection_pk=pk)

    async def sweep(self, limit: int) -> int:
        """Remove up to ``limit`` pictures of deleted collections; return how many, 0 when none is left."""
        deleted = sa.select(collections.c.pk).where(collections.c.name.is_(None)).order_by(collections.c.pk)
        for pk in list(await self._connection.scalars(deleted)):
            remaining = sa.select(images.c.number, images.c.sha256, images.c.has_bytes).where(
                images.c.collection_pk == pk
            )
            rows = (await self._connection.execute(remaining.order_by(images.c.number).limit(limit))).all()
            if rows:
                await self._parts.delete_images(pk, [row.number for row in rows])
                await self._orphans.note([row.sha256 for row in rows if row.has_bytes])
                return len(rows)
            await self._connection.execute(sa.delete(learned_words).where(learned_words.c.collection_pk == pk))
            await self._connection.execute(sa.delete(collections).where(collections.c.pk == pk))
        return 0

    async def _existing(self, pk: int) -> CollectionRecord:
        found = await self._one(collections.c.pk == pk)
        if found is None:
            raise UnknownCollection
        return found

    async def _change_model(
        self, pk: int, model: str | None, changed: Callable[[CollectionRecord], CollectionRecord]
    ) -> CollectionRecord:
        if model is not None:
            await self._require_model(model)
        before = await self._existing(pk)
        after = changed(before)
        if after == before:
            return before
        change = await self._log.take_one()
        return await self._put(after, change)

    async def _put(self, changed: CollectionRecord, change: int) -> CollectionRecord:
        after = replace(changed, updated_at=self._now)
        await self._connection.execute(
            sa.update(collections).where(collections.c.pk == after.pk).values(asdict(after))
        )
        await self._log.record(ChangeKind.COLLECTION_PUT, change, collection_pk=after.pk, model=after.model)
        return after

    async def _require_model(self, name: str) -> None:
        known = await self._connection.scalar(sa.select(models.c.name).where(models.c.name == name))
        if known is None:
            raise UnknownModel
