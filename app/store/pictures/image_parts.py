"""Rows that belong to a picture: its codes, descriptors, signatures and terms."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.colours import COLOUR_MODEL
from app.domain.filters import terms_of
from app.domain.images import ImageCode, ImageRecord, NewImage
from app.domain.numbers import order_key
from app.domain.perceptual import NO_HASH, PERCEPTUAL_MODEL
from app.domain.signatures import SIGNATURES
from app.store.driver.batches import in_batches
from app.store.schema.tables import codes, descriptors, different_pairs, image_terms, images, models, unencoded


class ImageParts:
    """Writes and deletes the rows that belong to pictures."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def insert_codes(self, coded: Sequence[tuple[ImageRecord, ImageCode]]) -> None:
        """Store codes, and descriptors if present."""
        keyed = [(_primary_key(image, code.model), code) for image, code in coded]
        await self._insert(codes, [key | {"code": code.code} for key, code in keyed])
        described = [(key, code.descriptor) for key, code in keyed if code.descriptor is not None]
        await self._insert(descriptors, [key | {"descriptor": octets} for key, octets in described])

    async def insert_signatures(self, pictures: Sequence[tuple[ImageRecord, NewImage]]) -> None:
        """Store perceptual hashes and colour signatures.

        A picture without a hash gets the reason that it has too little detail. One without a colour signature
        gets no row: a job computes it.
        """
        hashes = [(_primary_key(record, PERCEPTUAL_MODEL), new.perceptual_hash) for record, new in pictures]
        colours = [(_primary_key(record, COLOUR_MODEL), new.colours) for record, new in pictures]
        rows = [key | {"code": octets} for key, octets in (*hashes, *colours) if octets is not None]
        await self._insert(codes, rows)
        await self._insert(unencoded, [key | {"reason": NO_HASH} for key, octets in hashes if octets is None])

    async def insert_terms(self, records: Sequence[ImageRecord]) -> None:
        """Store the terms of pictures that have none yet."""
        rows = [
            {
                "collection_pk": record.collection_pk,
                "key": term.key,
                "term": term.tagged,
                "number": record.number,
                "number_order": None if term.number is None else order_key(term.number),
            }
            for record in records
            for term in terms_of(record.metadata)
        ]
        await self._insert(image_terms, rows)

    async def delete_codes(
        self, collection_pk: int, numbers: Sequence[int], *, model: str | None = None
    ) -> None:
        """Delete codes, descriptors and failure reasons of pictures, under one model or under all.

        Under all models, their signatures too.
        """
        # Listing the models lets the database use the primary key; otherwise it would scan every code.
        every = sa.select(models.c.name).union_all(*(sa.select(sa.literal(name)) for name in SIGNATURES))
        names = every if model is None else [model]
        for batch in in_batches(numbers):
            for table in (codes, descriptors, unencoded):
                await self._connection.execute(
                    sa.delete(table).where(
                        table.c.collection_pk == collection_pk,
                        table.c.model.in_(names),
                        table.c.number.in_(batch),
                    )
                )

    async def delete_terms(self, numbers: Sequence[int]) -> None:
        """Delete the terms of pictures."""
        for batch in in_batches(numbers):
            await self._connection.execute(sa.delete(image_terms).where(image_terms.c.number.in_(batch)))

    async def delete_verdicts(self, numbers: Sequence[int]) -> None:
        """Delete what a user said about pairs of these pictures with any other."""
        for batch in in_batches(numbers):
            for column in (different_pairs.c.first, different_pairs.c.second):
                await self._connection.execute(sa.delete(different_pairs).where(column.in_(batch)))

    async def delete_images(self, collection_pk: int, numbers: Sequence[int]) -> None:
        """Delete pictures with all rows that belong to them."""
        await self.delete_codes(collection_pk, numbers)
        await self.delete_terms(numbers)
        await self.delete_verdicts(numbers)
        for batch in in_batches(numbers):
            await self._connection.execute(sa.delete(images).where(images.c.number.in_(batch)))

    async def _insert(self, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            await self._connection.execute(sa.insert(table), rows)


def _primary_key(record: ImageRecord, model: str) -> dict[str, Any]:
    return {"collection_pk": record.collection_pk, "model": model, "number": record.number}
