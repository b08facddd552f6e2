"""Read the tables of a backup in one transaction, and write them back in one transaction."""

import base64
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.images import ImageRecord
from app.store.pictures.image_parts import ImageParts
from app.store.pictures.orphans import OrphanLog
from app.store.schema.columns import UtcDateTime
from app.store.schema.tables import (
    backups,
    change_counter,
    changes,
    codes,
    collections,
    descriptors,
    different_pairs,
    image_terms,
    images,
    keys,
    learned_words,
    models,
    unencoded,
)

CONTENT: Final = (models, collections, images, codes, descriptors, unencoded, different_pairs)
"""Tables of a backup, in the order of a restore. Jobs are left out: they describe past work.

Terms are left out too: a restore derives them from the pictures, since their format may change. Learned words
are left out: a job learns them from the pictures."""
TABLES: Final = {table.name: table for table in (*CONTENT, keys)}
BATCH: Final = 5_000


class BackupReader:
    """Reads the rows that a backup stores, and lists the backups."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list_all(self) -> list[dict[str, Any]]:
        """Return the documents of all backups, newest first."""
        query = sa.select(backups.c.document).order_by(backups.c.created_at.desc(), backups.c.id.desc())
        return [dict(document) for document in await self._connection.scalars(query)]

    async def count_and_newest(self) -> tuple[int, datetime | None]:
        """Return the number of backups, and the time of the newest; None without any."""
        query = sa.select(sa.func.count(), sa.func.max(backups.c.created_at))
        count, newest = (await self._connection.execute(query)).one()
        return count, newest

    async def exists(self, backup_id: str) -> bool:
        """Return whether a finished backup with this id exists."""
        query = sa.select(backups.c.id).where(backups.c.id == backup_id)
        return (await self._connection.execute(query)).first() is not None

    async def rows(self, table_name: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the rows of a table in batches, JSON-serializable, ordered by primary key.

        Raises:
            KeyError: Backups do not include this table.
        """
        table = TABLES[table_name]
        key = list(table.primary_key.columns)
        query = sa.select(table).order_by(*key).limit(BATCH)
        last: sa.Row[Any] | None = None
        while True:
            # Keyset pagination: an offset would read all earlier rows again.
            page = query
            if last is not None:
                last_key = [last._mapping[column.name] for column in key]  # noqa: SLF001 - SQLAlchemy's public name
                page = query.where(
                    sa.tuple_(*key)
                    > sa.tuple_(*(sa.literal(v, c.type) for v, c in zip(last_key, key, strict=True)))
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
        """Record a backup after all its files are written."""
        row = {"id": backup_id, "created_at": self._now, "document": document}
        await self._connection.execute(sa.insert(backups).values(row))

    async def delete(self, backup_id: str) -> bool:
        """Delete a backup's row; return False if there is none with this id."""
        gone = await self._connection.execute(sa.delete(backups).where(backups.c.id == backup_id))
        return gone.rowcount == 1

    async def clear(self) -> list[str]:
        """Delete all collections and pictures; return the SHA-256 of their files, for ``finish``."""
        kept = sa.select(images.c.sha256).where(images.c.has_bytes).distinct()
        files = list(await self._connection.scalars(kept))
        derived = (learned_words, image_terms, different_pairs)
        for table in (*derived, unencoded, descriptors, codes, images, collections):
            await self._connection.execute(sa.delete(table))
        return files

    async def put_rows(self, table_name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows in the format of ``rows``; skip known models, and all keys if any key exists."""
        table = TABLES[table_name]
        if table is models:
            known = set(await self._connection.scalars(sa.select(models.c.name)))
            rows = [row for row in rows if row["name"] not in known]
        if table is keys and await self._connection.scalar(sa.select(sa.func.count()).select_from(keys)):
            return
        typed = [_from_plain(table, row) for row in rows]
        if typed:
            await self._connection.execute(sa.insert(table), typed)
        if table is images:
            await ImageParts(self._connection).insert_terms([ImageRecord(**row) for row in typed])

    async def finish(self, change: int, files: Sequence[str]) -> int:
        """Make every process reload its indexes; return the change number of the restored contents.

        Args:
            change: Change number of the backup; later numbers must be greater.
            files: Files that the deleted pictures kept.
        """
        latest: int = (await self._connection.scalar(sa.select(change_counter.c.value))) or 0
        restored = max(latest, change) + 1
        await self._connection.execute(sa.update(change_counter).values(value=restored, pruned=restored))
        await self._connection.execute(sa.delete(changes))
        await self._connection.execute(sa.update(collections).values(warming_model=None))
        kept = list(
            await self._connection.scalars(sa.select(images.c.sha256).where(images.c.has_bytes).distinct())
        )
        await self._orphans.rescue(kept)
        await self._orphans.note(files)
        return restored


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Convert a row for JSON: bytes to base64, times to ISO 8601."""
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value


def _from_plain(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    """Inverse of ``_plain``. Uses column types, because metadata may contain text that looks encoded."""
    return {name: _from_plain_value(table.c[name], value) for name, value in row.items()}


def _from_plain_value(column: sa.Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, sa.LargeBinary):
        return base64.b64decode(value)
    return datetime.fromisoformat(value) if isinstance(column.type, UtcDateTime) else value
