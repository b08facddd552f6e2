"""Reads of single statements: pictures by number or id for searches, and the number of the latest change."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import sqlalchemy as sa

from app.domain.images import ImageRecord
from app.domain.results import FoundImage
from app.store.driver.batches import in_batches
from app.store.driver.statement_readers import StatementReader
from app.store.pictures.feed import FeedPruned
from app.store.schema.tables import change_counter, codes, descriptors, images

MAX_COPIES: Final = 100
"""Maximum number of ids returned for pictures with the same file."""

_RECORD: Final = [images.c[field.name] for field in fields(ImageRecord)]
_FOUND: Final = [images.c[name] for name in FoundImage._fields]
_METADATA: Final = FoundImage._fields.index("metadata")
_FLAGS: Final = [FoundImage._fields.index(name) for name in ("has_bytes", "is_blank")]


@dataclass(frozen=True, slots=True)
class _Statements:
    """The text of each statement for one database system."""

    latest_change: str
    by_id: str
    by_ids: str
    by_ids_with_descriptors: str
    found: str
    found_and_copies: str
    descriptors: str
    codes: str


_statements: Final[dict[type[StatementReader], _Statements]] = {}
"""Compiling them takes 15 ms, as much as a tenth of opening the application."""


def _compiled(reader: StatementReader) -> _Statements:
    in_collection = images.c.collection_pk == sa.bindparam("pk")
    # A row with the counter comes even if no picture does.
    numbered = sa.and_(in_collection, reader.is_among(images.c.number, "numbers"))
    found = sa.select(*_FOUND, change_counter.c.pruned, sa.literal_column("0").label("is_copy")).select_from(
        change_counter.outerjoin(images, numbered)
    )
    copies = (
        sa.select(*_FOUND, sa.literal_column("0").label("pruned"), sa.literal_column("1").label("is_copy"))
        .where(in_collection, images.c.sha256 == sa.bindparam("sha256"))
        .order_by(images.c.number)
        .limit(sa.literal_column(str(MAX_COPIES)))
        .offset(sa.literal_column("0"))
    )
    described = sa.and_(
        descriptors.c.collection_pk == images.c.collection_pk,
        descriptors.c.model == sa.bindparam("model"),
        descriptors.c.number == images.c.number,
    )
    with_id, with_ids = images.c.image_id == sa.bindparam("id"), reader.is_among(images.c.image_id, "ids")
    return _Statements(
        latest_change=reader.compiled(sa.select(change_counter.c.value)),
        by_id=reader.compiled(sa.select(*_RECORD).where(in_collection, with_id)),
        by_ids=reader.compiled(sa.select(*_FOUND).where(in_collection, with_ids)),
        by_ids_with_descriptors=reader.compiled(
            sa.select(*_FOUND, descriptors.c.descriptor)
            .select_from(images.outerjoin(descriptors, described))
            .where(in_collection, with_ids)
        ),
        found=reader.compiled(found),
        found_and_copies=reader.compiled(sa.union_all(found, sa.select(copies.subquery()))),
        descriptors=reader.compiled(
            sa.select(descriptors.c.number, descriptors.c.descriptor).where(
                descriptors.c.collection_pk == sa.bindparam("pk"),
                descriptors.c.model == sa.bindparam("model"),
                reader.is_among(descriptors.c.number, "numbers"),
            )
        ),
        codes=reader.compiled(
            sa.select(codes.c.number, codes.c.code).where(
                codes.c.collection_pk == sa.bindparam("pk"),
                codes.c.model == sa.bindparam("model"),
                reader.is_among(codes.c.number, "numbers"),
            )
        ),
    )


class Lookups:
    """Reads with one statement each; every read sees what was committed before it."""

    def __init__(self, reader: StatementReader) -> None:
        """Read with ``reader``."""
        self._reader = reader
        kind = type(reader)
        if kind not in _statements:
            _statements[kind] = _compiled(reader)
        self._sql: Final = _statements[kind]

    async def latest_change(self) -> int:
        """Return the highest committed change number; 0 in a new database.

        Raises:
            DatabaseUnavailable: The database is locked, shut down or unreachable, or every connection is busy.
        """
        [[latest]] = await self._reader.rows(self._sql.latest_change, {})
        return int(latest)

    async def image(self, collection_pk: int, image_id: str) -> ImageRecord | None:
        """Return the picture with this id, or None.

        Raises:
            DatabaseUnavailable: As for ``latest_change``.
        """
        rows = await self._reader.rows(self._sql.by_id, {"pk": collection_pk, "id": image_id})
        if not rows:
            return None
        record = ImageRecord(*rows[0])
        return replace(
            record,
            metadata=self._reader.json_of([record.metadata])[0],
            has_bytes=bool(record.has_bytes),
            is_blank=bool(record.is_blank),
            created_at=self._reader.time_of(record.created_at),
            updated_at=self._reader.time_of(record.updated_at),
        )

    async def by_ids(self, collection_pk: int, image_ids: Sequence[str]) -> dict[str, FoundImage]:
        """Return pictures by id; unknown ids are left out.

        Raises:
            DatabaseUnavailable: As for ``latest_change``.
        """
        found: dict[str, FoundImage] = {}
        for batch in in_batches(image_ids):
            parameters = {"pk": collection_pk, "ids": self._reader.list_value(batch)}
            rows = await self._reader.rows(self._sql.by_ids, parameters)
            found |= {image.image_id: image for image in self._images(rows)}
        return found

    async def by_ids_with_descriptors(
        self, collection_pk: int, model: str, image_ids: Sequence[str]
    ) -> tuple[dict[str, FoundImage], dict[int, bytes]]:
        """Return pictures by id, and their descriptors under a model by insertion number, without missing ones.

        Raises:
            DatabaseUnavailable: As for ``latest_change``.
        """
        found: dict[str, FoundImage] = {}
        described: dict[int, bytes] = {}
        for batch in in_batches(image_ids):
            parameters = {"pk": collection_pk, "model": model, "ids": self._reader.list_value(batch)}
            rows = await self._reader.rows(self._sql.by_ids_with_descriptors, parameters)
            found |= {image.image_id: image for image in self._images(rows)}
            described |= {row[0]: row[-1] for row in rows if row[-1] is not None}
        return found, described

    async def found_at(
        self, collection_pk: int, numbers: Sequence[int], version: int, *, copies_of: str | None = None
    ) -> tuple[dict[int, FoundImage], list[str]]:
        """Return the pictures that an index found, and the ids of pictures with the query's file.

        Args:
            collection_pk: Key of the collection.
            numbers: Insertion numbers that the index found.
            version: Change number of the index.
            copies_of: SHA-256 of the query's file.

        Returns:
            Pictures by insertion number, without deleted ones; ids of at most ``MAX_COPIES`` pictures with the
            query's file, in insertion order.

        Raises:
            FeedPruned: A restore has replaced the contents since, so the index describes other pictures.
            DatabaseUnavailable: As for ``latest_change``.
        """
        found: dict[int, FoundImage] = {}
        copies: dict[int, str] = {}
        statement = self._sql.found if copies_of is None else self._sql.found_and_copies
        for batch in list(in_batches(numbers)) or [[]]:
            parameters = {"pk": collection_pk, "numbers": self._reader.list_value(batch), "sha256": copies_of}
            hits = []
            for row in await self._reader.rows(statement, parameters):
                number, (pruned, is_copy) = row[0], row[-2:]
                if version < pruned:
                    raise FeedPruned(
                        f"the index is at change {version}; a restore replaced the contents at {pruned}"
                    )
                if is_copy:
                    copies[number] = row[1]
                elif number is not None:
                    hits.append(row)
            found |= {image.number: image for image in self._images(hits)}
        return found, [copies[number] for number in sorted(copies)]

    async def descriptors_of(self, collection_pk: int, model: str, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return descriptors by insertion number; pictures without a descriptor are left out.

        Raises:
            DatabaseUnavailable: As for ``image``.
        """
        return await self._octets_of(self._sql.descriptors, collection_pk, model, numbers)

    async def codes_of(self, collection_pk: int, model: str, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return codes or signatures by insertion number; pictures without one are left out.

        Raises:
            DatabaseUnavailable: As for ``image``.
        """
        return await self._octets_of(self._sql.codes, collection_pk, model, numbers)

    async def _octets_of(
        self, statement: str, collection_pk: int, model: str, numbers: Sequence[int]
    ) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for batch in in_batches(numbers):
            parameters = {"pk": collection_pk, "model": model, "numbers": self._reader.list_value(batch)}
            rows = await self._reader.rows(statement, parameters)
            found.update((number, octets) for number, octets in rows)
        return found

    def _images(self, rows: Sequence[Sequence[Any]]) -> list[FoundImage]:
        images = []
        for row, metadata in zip(rows, self._reader.json_of([row[_METADATA] for row in rows]), strict=True):
            values = list(row[: len(FoundImage._fields)])
            values[_METADATA] = metadata
            for flag in _FLAGS:
                values[flag] = bool(values[flag])
            images.append(FoundImage._make(values))
        return images

    async def close(self) -> None:
        """Close the reader's connections."""
        await self._reader.close()
