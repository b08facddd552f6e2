"""Read pictures by id, by number, by page and by filter."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from app.domain.errors import FieldError, InvalidFilter
from app.domain.filters import Condition, Filter
from app.domain.images import ImageRecord
from app.store.driver.batches import in_batches, joined_numbers, split_numbers
from app.store.pictures.codes import CodeReader
from app.store.pictures.matching import holders, matching_numbers, object_keys
from app.store.schema.tables import images, orphans

MAX_NUMBERS_IN_CONDITION: Final = 1_000
"""Up to this many candidates, a condition is queried for the candidates only, not for the collection."""


def image_record(row: sa.Row[Any]) -> ImageRecord:
    """Convert a row of ``images`` to a record."""
    return ImageRecord(**row._asdict())


class ImageReader(CodeReader):
    """Reads pictures and their codes."""

    async def get(self, collection_pk: int, image_id: str) -> ImageRecord | None:
        """Return the picture with this id, or None."""
        return (await self.get_many(collection_pk, [image_id])).get(image_id)

    async def get_many(self, collection_pk: int, image_ids: Sequence[str]) -> dict[str, ImageRecord]:
        """Return pictures by id; unknown ids are left out."""
        records = {}
        for ids in in_batches(image_ids):
            query = sa.select(images).where(images.c.collection_pk == collection_pk, images.c.image_id.in_(ids))
            for row in await self._connection.execute(query):
                records[row.image_id] = image_record(row)
        return records

    async def by_numbers(self, collection_pk: int, numbers: Sequence[int]) -> dict[int, ImageRecord]:
        """Return pictures by insertion number; unknown numbers are left out."""
        records = {}
        for batch in in_batches(numbers):
            query = sa.select(images).where(images.c.collection_pk == collection_pk, images.c.number.in_(batch))
            for row in await self._connection.execute(query):
                records[row.number] = image_record(row)
        return records

    async def page(
        self, collection_pk: int, after_number: int, limit: int, wanted: Filter | None = None
    ) -> list[ImageRecord]:
        """Return the next pictures in insertion order after ``after_number``, optionally filtered."""
        query = sa.select(images).where(images.c.collection_pk == collection_pk, images.c.number > after_number)
        if wanted is not None:
            query = query.where(images.c.number.in_(matching_numbers(collection_pk, wanted)))
        query = query.order_by(images.c.number).limit(limit)
        return [image_record(row) for row in await self._connection.execute(query)]

    async def newest(
        self, collection_pk: int, before_number: int | None, limit: int, wanted: Filter | None = None
    ) -> list[ImageRecord]:
        """Return the next pictures before ``before_number``, the last added first, optionally filtered."""
        query = sa.select(images).where(images.c.collection_pk == collection_pk)
        if before_number is not None:
            query = query.where(images.c.number < before_number)
        if wanted is not None:
            query = query.where(images.c.number.in_(matching_numbers(collection_pk, wanted)))
        query = query.order_by(images.c.number.desc()).limit(limit)
        return [image_record(row) for row in await self._connection.execute(query)]

    async def blank_numbers(self, collection_pk: int) -> dict[str, list[int]]:
        """Return the insertion numbers of blank pictures, ascending, by the SHA-256 of their files."""
        query = (
            sa.select(images.c.number, images.c.sha256)
            .where(images.c.collection_pk == collection_pk, images.c.is_blank)
            .order_by(images.c.number)
        )
        found: dict[str, list[int]] = {}
        for row in await self._connection.execute(query):
            found.setdefault(row.sha256, []).append(row.number)
        return found

    async def numbers_of_file(self, collection_pk: int, sha256: str, limit: int) -> list[int]:
        """Return the insertion numbers of the oldest ``limit`` pictures with this file, ascending."""
        query = (
            sa.select(images.c.number)
            .where(images.c.collection_pk == collection_pk, images.c.sha256 == sha256)
            .order_by(images.c.number)
            .limit(limit)
        )
        return list(await self._connection.scalars(query))

    async def files_of(self, collection_pk: int, numbers: Sequence[int]) -> dict[str, list[int]]:
        """Return the insertion numbers of these pictures, ascending, by the SHA-256 of their files."""
        found: dict[str, list[int]] = {}
        for batch in in_batches(sorted(numbers)):
            query = (
                sa.select(images.c.number, images.c.sha256)
                .where(images.c.collection_pk == collection_pk, images.c.number.in_(batch))
                .order_by(images.c.number)
            )
            for row in await self._connection.execute(query):
                found.setdefault(row.sha256, []).append(row.number)
        return found

    async def count(self, collection_pk: int, wanted: Filter | None = None) -> int:
        """Count the pictures of a collection, or those that pass the filter."""
        if wanted is None:
            query = sa.select(sa.func.count()).where(images.c.collection_pk == collection_pk)
        else:
            query = sa.select(sa.func.count()).select_from(matching_numbers(collection_pk, wanted).subquery())
        found: int = (await self._connection.execute(query)).scalar_one()
        return found

    async def numbers_matching(self, collection_pk: int, wanted: Filter) -> NDArray[np.int64]:
        """Return the insertion numbers of the pictures that pass the filter: int64, shape (n,), ascending.

        Queries each condition separately and intersects the results here: SQLite takes up to five times as long
        for the same over large sets.
        """
        if wanted.must:
            first, *others = wanted.must
            allowed = await self._numbers(holders(collection_pk, first))
        else:
            others = []
            query = sa.select(images.c.number).where(images.c.collection_pk == collection_pk)
            allowed = await self._numbers(query)
        for condition in others:
            allowed = allowed[_is_in(allowed, await self._among(allowed, collection_pk, condition))]
        for condition in wanted.must_not:
            allowed = allowed[~_is_in(allowed, await self._among(allowed, collection_pk, condition))]
        return allowed

    async def numbers_among(self, collection_pk: int, numbers: Sequence[int], wanted: Filter) -> list[int]:
        """Return those of ``numbers`` whose pictures pass the filter."""
        passing: list[int] = []
        for batch in in_batches(numbers):
            query = matching_numbers(collection_pk, wanted)
            query = query.where(query.selected_columns[0].in_(batch))
            passing += await self._connection.scalars(query)
        return passing

    async def check_filter(self, collection_pk: int, wanted: Filter) -> None:
        """Refuse a filter on a key that contains only objects, because it would silently match nothing.

        Raises:
            InvalidFilter: The filter uses such keys; the error lists them.
        """
        keys = list(await self._connection.scalars(object_keys(collection_pk, wanted))) if wanted.keys else []
        if keys:
            detail = "{0!r} is an object; use the path of a value in it, such as {1!r}"
            raise InvalidFilter(
                errors=[FieldError("/filter", detail.format(key, f"{key}.name")) for key in keys]
            )

    async def _among(
        self, numbers: NDArray[np.int64], collection_pk: int, condition: Condition
    ) -> NDArray[np.int64]:
        """Return the numbers for which a condition holds, possibly with others not in ``numbers``."""
        query = holders(collection_pk, condition)
        if len(numbers) <= MAX_NUMBERS_IN_CONDITION:
            query = query.where(query.selected_columns[0].in_(numbers.tolist()))
        return await self._numbers(query)

    async def _numbers(self, query: sa.Select[tuple[int]]) -> NDArray[np.int64]:
        """Return the distinct numbers that a query selects, ascending."""
        dialect = self._connection.dialect
        selected = query.subquery()
        joined = await self._connection.scalar(sa.select(joined_numbers(selected.c.number, dialect)))
        numbers = split_numbers(joined, dialect)
        numbers.sort()
        is_first = np.ones(len(numbers), np.bool_)
        np.not_equal(numbers[1:], numbers[:-1], out=is_first[1:])
        return numbers[is_first]

    async def without_row(self, sha256s: Sequence[str]) -> list[str]:
        """Those files that no picture keeps and that are not listed as orphans."""
        known: set[str] = set()
        for batch in in_batches(sha256s):
            kept = sa.select(images.c.sha256).where(images.c.sha256.in_(batch), images.c.has_bytes)
            listed = sa.select(orphans.c.sha256).where(orphans.c.sha256.in_(batch))
            known.update(await self._connection.scalars(kept.union(listed)))
        return sorted(set(sha256s) - known)

    async def stored_bytes(self, collection_pk: int) -> int:
        """Return the total size in bytes of the files that a collection keeps, counting equal files once."""
        files = (
            sa.select(images.c.sha256, images.c.size_bytes)
            .where(images.c.collection_pk == collection_pk, images.c.has_bytes)
            .distinct()
            .subquery()
        )
        return int(await self._connection.scalar(sa.select(sa.func.sum(files.c.size_bytes))) or 0)


def _is_in(numbers: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask, shape (n,), of the ascending ``numbers`` that occur in the ascending ``others``."""
    if not len(others):
        return np.zeros(len(numbers), np.bool_)
    positions = np.minimum(np.searchsorted(others, numbers), len(others) - 1)
    found: NDArray[np.bool_] = others[positions] == numbers
    return found
