"""Pairs of pictures that a user called different, although they look like copies."""

from collections.abc import Sequence
from itertools import combinations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.driver.batches import in_batches
from app.store.schema.tables import different_pairs, images


class VerdictReader:
    """Reads verdicts."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def all_pairs(self, collection_pk: int) -> list[tuple[int, int]]:
        """Return the insertion numbers of each pair, the smaller one first, in ascending order."""
        query = (
            sa.select(different_pairs.c.first, different_pairs.c.second)
            .where(different_pairs.c.collection_pk == collection_pk)
            .order_by(different_pairs.c.first, different_pairs.c.second)
        )
        return [(row.first, row.second) for row in await self._connection.execute(query)]

    async def page(self, collection_pk: int, offset: int, limit: int) -> list[tuple[str, str]]:
        """Return the ids of up to ``limit`` pairs, the older picture first, ordered by age."""
        first, second = images.alias(), images.alias()
        query = (
            sa.select(first.c.image_id, second.c.image_id.label("other_id"))
            .select_from(different_pairs)
            .join(first, first.c.number == different_pairs.c.first)
            .join(second, second.c.number == different_pairs.c.second)
            .where(different_pairs.c.collection_pk == collection_pk)
            .order_by(different_pairs.c.first, different_pairs.c.second)
            .offset(offset)
            .limit(limit)
        )
        return [(row.image_id, row.other_id) for row in await self._connection.execute(query)]


class VerdictWriter(VerdictReader):
    """Reads, adds and deletes verdicts."""

    async def add(self, collection_pk: int, numbers: Sequence[int]) -> int:
        """Add every pair of these pictures that is not known yet; return how many were added."""
        known = set(await self._known(collection_pk, numbers))
        pairs = [pair for pair in combinations(sorted(set(numbers)), 2) if pair not in known]
        rows = [{"collection_pk": collection_pk, "first": a, "second": b} for a, b in pairs]
        if rows:
            await self._connection.execute(sa.insert(different_pairs), rows)
        return len(rows)

    async def delete(self, collection_pk: int, numbers: Sequence[int]) -> int:
        """Delete every pair of these pictures; return how many were deleted."""
        known = await self._known(collection_pk, numbers)
        for first, second in known:
            await self._connection.execute(
                sa.delete(different_pairs).where(
                    different_pairs.c.collection_pk == collection_pk,
                    different_pairs.c.first == first,
                    different_pairs.c.second == second,
                )
            )
        return len(known)

    async def _known(self, collection_pk: int, numbers: Sequence[int]) -> list[tuple[int, int]]:
        wanted = set(numbers)
        found: list[tuple[int, int]] = []
        for batch in in_batches(sorted(wanted)):
            query = sa.select(different_pairs.c.first, different_pairs.c.second).where(
                different_pairs.c.collection_pk == collection_pk, different_pairs.c.first.in_(batch)
            )
            rows = await self._connection.execute(query)
            found += [(row.first, row.second) for row in rows if row.second in wanted]
        return found
