"""The service's tables, row by row, out of one read transaction and into another in one transaction."""

import base64
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.columns import UtcDateTime
from app.store.image_parts import ImageParts
from app.store.orphans import OrphanLog
from app.store.records import ImageRecord
from app.store.tables import (
    backups,
    change_counter,
    changes,
    codes,
    collections,
    descriptors,
    image_terms,
    images,
    keys,
    models,
    unencoded,
)

CONTENT: Final = (models, collections, images, codes, descriptors, unencoded)
"""What a backup holds, in the order in which it is put back. Jobs belong to the time they ran in.

Terms are derived from the pictures: those of an earlier version may be of another form."""
TABLES: Final = {table.name: table for table in (*CONTENT, keys)}
BATCH: Final = 5_000


class BackupReader:
    """Reads the rows of a backup, and lists the backups."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list_all(self) -> list[dict[str, Any]]:
        """The documents of every backup, the newest first."""
        query = sa.select(backups.c.document).order_by(backups.c.created_at.desc(), backups.c.id.desc())
        return [dict(document) for document in await self._connection.scalars(query)]

    async def exists(self, backup_id: str) -> bool:
        """Whether a backup was finished and not deleted since."""
        query = sa.select(backups.c.id).where(backups.c.id == backup_id)
        return (await self._connection.execute(query)).first() is not None

    async def rows(self, table_name: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Every row of a table in batches, as JSON can hold it, in the order of its primary key.

        Raises:
            KeyError: Backups hold no such table.
        """
        table = TABLES[table_name]
        key = list(table.primary_key.columns)
        query = sa.select(table).order_by(*key).limit(BATCH)
        last: sa.Row[Any] | None = None
        while True:
            # By the key, not by a number of rows passed over: each batch is found at once.
            page = query
            if last is not None:
                place = [last._mapping[column.name] for column in key]  # noqa: SLF001 - SQLAlchemy's public name
                page = query.where(
                    sa.tuple_(*key)
                    > sa.tuple_(*(sa.literal(v, c.type) for v, c in zip(place, key, strict=True)))
                )
            rows = (await self._connection.execute(page)).all()
            if not rows:
                return
            last = rows[-1]
            yield [_plain(row._asdict()) for row in rows]


class BackupWriter(BackupReader):
    """Reads and writes the contents of backups."""

    def __init__(self, connection: AsyncConnection, orphans: OrphanLog, now: datetime) -> None:
        super().__init__(connection)
        self._orphans = orphans
        self._now = now

    async def add(self, backup_id: str, document: dict[str, Any]) -> None:
        """Record a backup whose files are all written."""
        row = {"id": backup_id, "created_at": self._now, "document": document}
        await self._connection.execute(sa.insert(backups).values(row))

    async def delete(self, backup_id: str) -> bool:
        """Forget a backup; False where there is none by that id."""
        gone = await self._connection.execute(sa.delete(backups).where(backups.c.id == backup_id))
        return gone.rowcount == 1

    async def clear(self) -> list[str]:
        """Delete every collection and picture; returns the files that they kept, for ``finish``."""
        kept = sa.select(images.c.sha256).where(images.c.has_bytes).distinct()
        files = list(await self._connection.scalars(kept))
        for table in (image_terms, unencoded, descriptors, codes, images, collections):
            await self._connection.execute(sa.delete(table))
        return files

    async def put_rows(self, table_name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Put rows back as ``rows`` gave them; models that are known stay, and keys where there are any."""
        table = TABLES[table_name]
        if table is models:
            known = set(await self._connection.scalars(sa.select(models.c.name)))
            rows = [row for row in rows if row["name"] not in known]
        if table is keys and await self._connection.scalar(sa.select(sa.func.count()).select_from(keys)):
            return
        rich = [_rich(table, row) for row in rows]
        if rich:
            await self._connection.execute(sa.insert(table), rich)
        if table is images:
            await ImageParts(self._connection).insert_terms([ImageRecord(**row) for row in rich])

    async def finish(self, change: int, files: Sequence[str]) -> int:
        """Have every process load anew; returns the change number that the contents stand at.

        Args:
            change: The backup's own change number; none that it knows may be given out again.
            files: Files that were kept before.
        """
        value: int = (await self._connection.scalar(sa.select(change_counter.c.value))) or 0
        after = max(value, change) + 1
        await self._connection.execute(sa.update(change_counter).values(value=after, pruned=after))
        await self._connection.execute(sa.delete(changes))
        await self._connection.execute(sa.update(collections).values(warming_model=None))
        kept = list(
            await self._connection.scalars(sa.select(images.c.sha256).where(images.c.has_bytes).distinct())
        )
        await self._orphans.rescue(kept)
        await self._orphans.note(files)
        return after


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row for JSON: bytes in base64, times in ISO 8601."""
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value


def _rich(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    """Inverse of ``_plain``, by the columns' types: a user's metadata may look like anything."""
    return {name: _rich_value(table.c[name], value) for name, value in row.items()}


def _rich_value(column: sa.Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, sa.LargeBinary):
        return base64.b64decode(value)
    return datetime.fromisoformat(value) if isinstance(column.type, UtcDateTime) else value
