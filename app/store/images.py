"""Pictures: reading them one by one, by page and by filter."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from app.domain.errors import FieldError, InvalidFilter
from app.domain.filters import Condition, Filter
from app.store.batches import in_batches, joined_numbers, split_numbers
from app.store.codes import CodeReader
from app.store.feed import FeedPruned
from app.store.matching import holders, matching_numbers, object_keys
from app.store.records import ImageRecord
from app.store.tables import change_counter, images, orphans

FEW: Final = 1_000
"""Pictures up to which a condition is asked of these alone."""
MAX_COPIES: Final = 100
"""Pictures with one file that are named, of perhaps many more."""


def image_record(row: sa.Row[Any]) -> ImageRecord:
    """The record of a row of ``images``."""
    return ImageRecord(**row._asdict())


def _shown() -> sa.Select[Any]:
    """Pictures by number, each beside the feed's mark of what was pruned."""
    return sa.select(images, _PRUNED, sa.false().label("is_copy")).where(
        images.c.collection_pk == sa.bindparam("pk"),
        images.c.number.in_(sa.bindparam("numbers", expanding=True)),
    )


def _shown_and_copies() -> sa.CompoundSelect[Any]:
    """The same, then the first pictures with a file."""
    copies = (
        sa.select(images, _PRUNED, sa.true().label("is_copy"))
        .where(images.c.collection_pk == sa.bindparam("pk"), images.c.sha256 == sa.bindparam("sha256"))
        .order_by(images.c.number)
        .limit(MAX_COPIES)
    )
    return sa.union_all(_shown(), sa.select(copies.subquery()))


_PRUNED: Final = sa.select(change_counter.c.pruned).scalar_subquery().label("feed_pruned")
# Every search comes through here, so they are put together once.
_RECORDS: Final = _shown()
_RECORDS_AND_COPIES: Final = _shown_and_copies()


class ImageReader(CodeReader):
    """Reads pictures and their codes."""

    async def get(self, collection_pk: int, image_id: str) -> ImageRecord | None:
        """The picture by that id; None where there is none."""
        return (await self.get_many(collection_pk, [image_id])).get(image_id)

    async def get_many(self, collection_pk: int, image_ids: Sequence[str]) -> dict[str, ImageRecord]:
        """The pictures by those ids; unknown ids are left out."""
        records = {}
        for ids in in_batches(image_ids):
            query = sa.select(images).where(images.c.collection_pk == collection_pk, images.c.image_id.in_(ids))
            for row in await self._connection.execute(query):
                records[row.image_id] = image_record(row)
        return records

    async def by_numbers(self, collection_pk: int, numbers: Sequence[int]) -> dict[int, ImageRecord]:
        """The pictures with those insertion numbers; unknown numbers are left out."""
        records = {}
        for batch in in_batches(numbers):
            query = sa.select(images).where(images.c.collection_pk == collection_pk, images.c.number.in_(batch))
            for row in await self._connection.execute(query):
                records[row.number] = image_record(row)
        return records

    async def records_at(
        self, collection_pk: int, numbers: Sequence[int], version: int, *, copies_of: str | None = None
    ) -> tuple[dict[int, ImageRecord], list[str]]:
        """Read the pictures that an index found, and the ids of pictures whose file equals the query's.

        Args:
            collection_pk: Their collection.
            numbers: Insertion numbers that the index found.
            version: The change number that the index stands at.
            copies_of: SHA-256 of the query's file.

        Returns:
            Records by insertion number, those deleted since left out; ids of at most ``MAX_COPIES`` pictures
            with that file, in insertion order.

        Raises:
            FeedPruned: A restore has replaced everything since: the index's codes are of other pictures.
        """
        records: dict[int, ImageRecord] = {}
        copies: dict[int, str] = {}
        pruned = None
        query = _RECORDS if copies_of is None else _RECORDS_AND_COPIES
        for batch in list(in_batches(numbers)) or [[]]:
            # One statement for all of it: on SQLite each takes several turns of a thread.
            asked = {"pk": collection_pk, "numbers": batch, "sha256": copies_of}
            for row in await self._connection.execute(query, asked):
                values = row._asdict()
                pruned, is_copy = values.pop("feed_pruned"), values.pop("is_copy")
                if is_copy:
                    copies[row.number] = row.image_id
                else:
                    records[row.number] = ImageRecord(**values)
        if pruned is None:
            pruned = await self._connection.scalar(sa.select(change_counter.c.pruned))
        if pruned is not None and version < pruned:
            raise FeedPruned(f"the index stands at change {version}; everything was replaced by {pruned}")
        return records, [copies[number] for number in sorted(copies)]

    async def page(
        self, collection_pk: int, after_number: int, limit: int, wanted: Filter | None = None
    ) -> list[ImageRecord]:
        """The next pictures in insertion order, after the one with number ``after_number``."""
        query = sa.select(images).where(images.c.collection_pk == collection_pk, images.c.number > after_number)
        if wanted is not None:
            query = query.where(images.c.number.in_(matching_numbers(collection_pk, wanted)))
        query = query.order_by(images.c.number).limit(limit)
        return [image_record(row) for row in await self._connection.execute(query)]

    async def blank_numbers(self, collection_pk: int) -> dict[str, list[int]]:
        """Insertion numbers, ascending, of the pictures that show nothing, by the SHA-256 of their files."""
        query = (
            sa.select(images.c.number, images.c.sha256)
            .where(images.c.collection_pk == collection_pk, images.c.is_blank)
            .order_by(images.c.number)
        )
        found: dict[str, list[int]] = {}
        for row in await self._connection.execute(query):
            found.setdefault(row.sha256, []).append(row.number)
        return found

    async def count(self, collection_pk: int, wanted: Filter | None = None) -> int:
        """How many pictures there are, or pass the filter."""
        if wanted is None:
            query = sa.select(sa.func.count()).where(images.c.collection_pk == collection_pk)
        else:
            query = sa.select(sa.func.count()).select_from(matching_numbers(collection_pk, wanted).subquery())
        found: int = (await self._connection.execute(query)).scalar_one()
        return found

    async def numbers_matching(self, collection_pk: int, wanted: Filter) -> NDArray[np.int64]:
        """Insertion numbers of the pictures that pass the filter: int64, shape (n,), ascending.

        Each condition is asked for by itself and the answers are set against each other here: SQLite takes up
        to five times as long for the same over large sets.
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
        """Those of ``numbers`` whose pictures pass the filter now."""
        passing: list[int] = []
        for batch in in_batches(numbers):
            query = matching_numbers(collection_pk, wanted)
            query = query.where(query.selected_columns[0].in_(batch))
            passing += await self._connection.scalars(query)
        return passing

    async def check_filter(self, collection_pk: int, wanted: Filter) -> None:
        """Refuse a filter on a key that holds objects only: it would match no picture, and say nothing.

        Raises:
            InvalidFilter: With the keys concerned.
        """
        keys = list(await self._connection.scalars(object_keys(collection_pk, wanted))) if wanted.keys else []
        if keys:
            detail = "{0!r} holds an object; name a value in it by its path, such as {1!r}"
            raise InvalidFilter(
                errors=[FieldError("/filter", detail.format(key, f"{key}.name")) for key in keys]
            )

    async def _among(
        self, numbers: NDArray[np.int64], collection_pk: int, condition: Condition
    ) -> NDArray[np.int64]:
        """Those for which a condition holds, and perhaps others where there are many."""
        query = holders(collection_pk, condition)
        if len(numbers) <= FEW:
            query = query.where(query.selected_columns[0].in_(numbers.tolist()))
        return await self._numbers(query)

    async def _numbers(self, query: sa.Select[tuple[int]]) -> NDArray[np.int64]:
        """What a query selects, ascending, each once."""
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
        """Bytes of the files that the collection keeps, equal files counted once."""
        files = (
            sa.select(images.c.sha256, images.c.size_bytes)
            .where(images.c.collection_pk == collection_pk, images.c.has_bytes)
            .distinct()
            .subquery()
        )
        return int(await self._connection.scalar(sa.select(sa.func.sum(files.c.size_bytes))) or 0)


def _is_in(numbers: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each of ascending ``numbers`` is among ascending ``others``, shape (n,)."""
    if not len(others):
        return np.zeros(len(numbers), np.bool_)
    places = np.minimum(np.searchsorted(others, numbers), len(others) - 1)
    found: NDArray[np.bool_] = others[places] == numbers
    return found
