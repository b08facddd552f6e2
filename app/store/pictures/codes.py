"""Read codes and descriptors by insertion number, or all codes of a collection."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.codes import codes_from_bytes
from app.store.driver.batches import in_batches, joined_bytes, joined_numbers, split_numbers
from app.store.schema.tables import codes, descriptors

LOAD_BATCH: Final = 65_536
"""Codes per query: 4 MB at 512 bits, which block the event loop for a few milliseconds."""


class CodeReader:
    """Reads codes and descriptors."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def codes_of(self, collection_pk: int, model: str, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return codes by insertion number; pictures without a code are left out."""
        return await self._column_of(codes.c.code, collection_pk, model, numbers)

    async def descriptors_of(self, collection_pk: int, model: str, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return descriptors by insertion number; pictures without a descriptor are left out."""
        return await self._column_of(descriptors.c.descriptor, collection_pk, model, numbers)

    async def last_codes(self, collection_pk: int, model: str, limit: int) -> dict[int, bytes]:
        """Return the codes of the ``limit`` newest pictures, by insertion number."""
        query = (
            sa.select(codes.c.number, codes.c.code)
            .where(codes.c.collection_pk == collection_pk, codes.c.model == model)
            .order_by(codes.c.number.desc())
            .limit(limit)
        )
        return {row.number: row.code for row in await self._connection.execute(query)}

    async def load_codes(
        self, collection_pk: int, model: str, bits: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Read all codes of a collection under one model.

        Args:
            collection_pk: Key of the collection.
            model: Name of the model.
            bits: Code length of the model.

        Returns:
            Insertion numbers, ascending, shape (n,), int64, and codes, shape (n, ceil(bits / 64)), uint64.
        """
        numbers, columns = [np.empty(0, dtype=np.int64)], [codes_from_bytes(b"", bits).T]
        async for batch_numbers, octets in self._batches(collection_pk, model):
            numbers.append(batch_numbers)
            # Transposed while in the CPU cache: an index stores one array per word and uses these as they are.
            columns.append(np.ascontiguousarray(codes_from_bytes(octets, bits).T))
        return np.concatenate(numbers), np.concatenate(columns, axis=1).T

    async def _column_of(
        self, column: sa.Column[bytes], collection_pk: int, model: str, numbers: Sequence[int]
    ) -> dict[int, bytes]:
        table = column.table
        found: dict[int, bytes] = {}
        for batch in in_batches(numbers):
            query = sa.select(table.c.number, column).where(
                table.c.collection_pk == collection_pk, table.c.model == model, table.c.number.in_(batch)
            )
            found.update((number, octets) for number, octets in await self._connection.execute(query))
        return found

    async def _batches(self, collection_pk: int, model: str) -> AsyncIterator[tuple[NDArray[np.int64], bytes]]:
        """Yield all codes as (insertion numbers, concatenated codes), ``LOAD_BATCH`` at a time."""
        dialect = self._connection.dialect
        after = -1
        while True:
            batch = (
                sa.select(codes.c.number, codes.c.code)
                .where(codes.c.collection_pk == collection_pk, codes.c.model == model, codes.c.number > after)
                .order_by(codes.c.number)
                .limit(LOAD_BATCH)
                .subquery()
            )
            query = sa.select(joined_numbers(batch.c.number, dialect), joined_bytes(batch.c.code, dialect))
            joined, octets = (await self._connection.execute(query)).one()
            if joined is None:
                return
            numbers, octets = _in_order(split_numbers(joined, dialect), octets)
            after = int(numbers[-1])
            yield numbers, octets


def _in_order(numbers: NDArray[np.int64], octets: bytes) -> tuple[NDArray[np.int64], bytes]:
    """Sort by number if necessary: both databases keep the subquery's order, but neither guarantees it."""
    if (np.diff(numbers) > 0).all():
        return numbers, octets
    order = np.argsort(numbers)
    by_row = np.frombuffer(octets, dtype=np.uint8).reshape(len(numbers), -1)
    return numbers[order], by_row[order].tobytes()
