"""Pictures without a code under a model: count them, record the reasons, add codes later."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.changes import ChangeKind
from app.domain.collections import Missing
from app.domain.images import ImageCode, ImageRecord
from app.domain.perceptual import PERCEPTUAL_MODEL
from app.domain.signatures import SIGNATURES
from app.store.driver.batches import in_batches
from app.store.pictures.changes import ChangeLog
from app.store.pictures.image_parts import ImageParts
from app.store.pictures.images import image_record
from app.store.schema.tables import codes, collections, images, learned_words, models, unencoded


def _without_code(collection_pk: int, model: str) -> tuple[sa.ColumnElement[bool], ...]:
    coded = sa.select(sa.literal(1)).where(
        codes.c.collection_pk == collection_pk, codes.c.model == model, codes.c.number == images.c.number
    )
    return images.c.collection_pk == collection_pk, ~coded.exists()


class CoverageReader:
    """Reads which pictures have no code under a model, and why."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def missing(self, collection_pk: int, model: str) -> Missing:
        """Count the pictures without a code under a model, by reason.

        Computed by subtraction, since every code belongs to a picture: that scans indexes, not rows.
        """
        pictures = sa.select(sa.func.count()).where(images.c.collection_pk == collection_pk)
        coded = sa.select(sa.func.count()).where(codes.c.collection_pk == collection_pk, codes.c.model == model)
        row = (
            await self._connection.execute(sa.select(pictures.scalar_subquery(), coded.scalar_subquery()))
        ).one()
        by_reason = (
            sa.select(unencoded.c.reason, sa.func.count().label("pictures"))
            .where(unencoded.c.collection_pk == collection_pk, unencoded.c.model == model)
            .group_by(unencoded.c.reason)
        )
        reasons = {row.reason: row.pictures for row in await self._connection.execute(by_reason)}
        return Missing(row[0] - row[1], reasons)

    async def models_with_codes(self, collection_pk: int) -> list[str]:
        """Return the models for which a collection has codes, reasons for missing ones, or learned words."""
        parts = (
            sa.select(sa.literal(1))
            .where(table.c.collection_pk == collection_pk, table.c.model == models.c.name)
            .exists()
            for table in (codes, unencoded, learned_words)
        )
        query = sa.select(models.c.name).where(sa.or_(*parts)).order_by(models.c.name)
        return list(await self._connection.scalars(query))

    async def missing_numbers(self, collection_pk: int, model: str) -> dict[int, str | None]:
        """Return the insertion numbers of the pictures without a code, each with its reason or None."""
        on_reason = sa.and_(
            unencoded.c.collection_pk == collection_pk,
            unencoded.c.model == model,
            unencoded.c.number == images.c.number,
        )
        if not (await self.missing(collection_pk, model)).count:
            return {}
        query = (
            sa.select(images.c.number, unencoded.c.reason)
            .outerjoin(unencoded, on_reason)
            .where(*_without_code(collection_pk, model))
        )
        return {row.number: row.reason for row in await self._connection.execute(query)}

    async def missing_images(
        self, collection_pk: int, model: str, *, after: int, limit: int, untried: bool = False
    ) -> list[ImageRecord]:
        """Return the next pictures without a code, in insertion order after number ``after``.

        Args:
            collection_pk: Key of the collection.
            model: Name of the model.
            after: Insertion number of the last picture seen; -1 for the first page.
            limit: Maximum number of pictures.
            untried: Only pictures that no attempt has been made to encode.
        """
        query = sa.select(images).where(*_without_code(collection_pk, model), images.c.number > after)
        if untried:
            tried = sa.select(sa.literal(1)).where(
                unencoded.c.collection_pk == collection_pk,
                unencoded.c.model == model,
                unencoded.c.number == images.c.number,
            )
            query = query.where(~tried.exists())
        rows = await self._connection.execute(query.order_by(images.c.number).limit(limit))
        return [image_record(row) for row in rows]

    async def reasons(self, collection_pk: int, model: str, *, limit: int) -> list[tuple[str, str]]:
        """Return (picture id, reason) of the first pictures that could not be encoded under a model."""
        query = (
            sa.select(images.c.image_id, unencoded.c.reason)
            .join(images, images.c.number == unencoded.c.number)
            .where(unencoded.c.collection_pk == collection_pk, unencoded.c.model == model)
            .order_by(unencoded.c.number)
            .limit(limit)
        )
        return [(image_id, reason) for image_id, reason in await self._connection.execute(query)]

    async def reasons_of(self, collection_pk: int, model: str, numbers: Sequence[int]) -> dict[int, str]:
        """Return why pictures have no code, by insertion number; pictures without a reason are left out."""
        found: dict[int, str] = {}
        for batch in in_batches(numbers):
            query = sa.select(unencoded.c.number, unencoded.c.reason).where(
                unencoded.c.collection_pk == collection_pk,
                unencoded.c.model == model,
                unencoded.c.number.in_(batch),
            )
            found.update((row.number, row.reason) for row in await self._connection.execute(query))
        return found


class CoverageWriter(CoverageReader):
    """Reads which pictures have no code, and stores codes or reasons for them."""

    def __init__(self, connection: AsyncConnection, log: ChangeLog) -> None:
        super().__init__(connection)
        self._log = log
        self._parts = ImageParts(connection)

    async def put_codes(
        self, collection_pk: int, encoded: Sequence[tuple[ImageRecord, ImageCode]]
    ) -> list[ImageRecord]:
        """Store codes of pictures that lack them; return the pictures whose codes were stored.

        Skips pictures that were deleted, replaced or encoded since they were read. If an index of the model
        may be loaded, each code gets a feed entry, so that the index adds it.

        Args:
            collection_pk: Key of the collection.
            encoded: Pictures as they were read, with their codes, all under one model.
        """
        if not encoded:
            return []
        model = encoded[0][1].model
        lacking = await self._lacking(collection_pk, model, [record for record, _ in encoded])
        kept = [(record, code) for record, code in encoded if record.number in lacking]
        await self._parts.insert_codes(kept)
        await self._forget_reasons(collection_pk, model, sorted(lacking))
        await self._record_tried(collection_pk, model, [record.number for record, _ in kept])
        return [record for record, _ in kept]

    async def mark_blank(self, found: Sequence[tuple[ImageRecord, bool]]) -> None:
        """Record whether pictures are blank; skip pictures that were replaced since they were read."""
        for record, is_blank in found:
            await self._connection.execute(
                sa.update(images)
                .where(images.c.number == record.number, images.c.sha256 == record.sha256)
                .values(is_blank=is_blank)
            )

    async def note_unencoded(
        self, collection_pk: int, model: str, failed: Sequence[tuple[ImageRecord, str]]
    ) -> None:
        """Record why pictures have no code, given as (picture as it was read, error code).

        If an index of the model may be loaded, each picture without a reason so far gets a feed entry, so that
        the index counts it as failed.
        """
        lacking = await self._lacking(collection_pk, model, [record for record, _ in failed])
        known = await self.reasons_of(collection_pk, model, sorted(lacking))
        await self._forget_reasons(collection_pk, model, sorted(lacking))
        rows = [
            {"collection_pk": collection_pk, "model": model, "number": record.number, "reason": reason}
            for record, reason in failed
            if record.number in lacking
        ]
        if rows:
            await self._connection.execute(sa.insert(unencoded), rows)
        await self._record_tried(collection_pk, model, sorted(lacking - known.keys()))

    async def forget_codes(self, collection_pk: int, model: str, limit: int) -> int:
        """Delete up to ``limit`` codes under a model with their descriptors; return how many were deleted.

        The last call deletes the words that were learned for the model too.
        """
        query = (
            sa.select(codes.c.number)
            .where(codes.c.collection_pk == collection_pk, codes.c.model == model)
            .order_by(codes.c.number)
            .limit(limit)
        )
        numbers = list(await self._connection.scalars(query))
        await self._parts.delete_codes(collection_pk, numbers, model=model)
        if len(numbers) < limit:
            reasons = sa.delete(unencoded).where(
                unencoded.c.collection_pk == collection_pk, unencoded.c.model == model
            )
            await self._connection.execute(reasons)
            words = sa.delete(learned_words).where(
                learned_words.c.collection_pk == collection_pk, learned_words.c.model == model
            )
            await self._connection.execute(words)
        return len(numbers)

    async def delete_codes(self, collection_pk: int, model: str, numbers: Sequence[int]) -> None:
        """Delete codes under a model, for instance invalid ones, so that a job encodes the pictures again."""
        await self._parts.delete_codes(collection_pk, numbers, model=model)

    async def stray_codes(self, collection_pk: int, *, delete: bool, limit: int) -> int:
        """Count the codes that belong to no picture, up to ``limit``; delete them if ``delete`` is set."""
        present = sa.select(sa.literal(1)).where(
            images.c.number == codes.c.number, images.c.collection_pk == codes.c.collection_pk
        )
        query = (
            sa.select(codes.c.number)
            .where(codes.c.collection_pk == collection_pk, ~present.exists())
            .distinct()
            .limit(limit)
        )
        numbers = list(await self._connection.scalars(query))
        if delete:
            await self._parts.delete_codes(collection_pk, numbers)
        return len(numbers)

    async def _lacking(self, collection_pk: int, model: str, records: Sequence[ImageRecord]) -> set[int]:
        """Return the numbers of those pictures that are unchanged and still have no code."""
        read = {record.number: record.sha256 for record in records}
        lacking: set[int] = set()
        for batch in in_batches(list(read)):
            query = sa.select(images.c.number, images.c.sha256).where(
                *_without_code(collection_pk, model), images.c.number.in_(batch)
            )
            lacking |= {n for n, sha256 in await self._connection.execute(query) if read[n] == sha256}
        return lacking

    async def _forget_reasons(self, collection_pk: int, model: str, numbers: Sequence[int]) -> None:
        for batch in in_batches(numbers):
            await self._connection.execute(
                sa.delete(unencoded).where(
                    unencoded.c.collection_pk == collection_pk,
                    unencoded.c.model == model,
                    unencoded.c.number.in_(batch),
                )
            )

    async def _record_tried(self, collection_pk: int, model: str, numbers: Sequence[int]) -> None:
        """Write a feed entry for each picture if an index of the model may be loaded."""
        if numbers and await self._is_indexed(collection_pk, model):
            changes = await self._log.take(len(numbers))
            for change, number in zip(changes, numbers, strict=True):
                await self._log.record(
                    ChangeKind.CODE_PUT, change, collection_pk=collection_pk, number=number, model=model
                )

    async def _is_indexed(self, collection_pk: int, model: str) -> bool:
        if model in SIGNATURES:
            # Colour signatures are read from the database.
            return model == PERCEPTUAL_MODEL
        query = sa.select(collections.c.model, collections.c.warming_model).where(
            collections.c.pk == collection_pk
        )
        row = (await self._connection.execute(query)).one_or_none()
        return row is not None and model in {row.model, row.warming_model}
