"""Registered models."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.changes import ChangeKind
from app.domain.errors import ModelExists, ModelMismatch
from app.domain.models import ModelRecord, Origin
from app.store.pictures.changes import ChangeLog
from app.store.schema.tables import models


def _record(row: sa.Row[Any]) -> ModelRecord:
    return ModelRecord(**{**row._asdict(), "origin": Origin(row.origin)})


class ModelReader:
    """Reads models."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, name: str) -> ModelRecord | None:
        """Return the model with this name, or None."""
        row = (await self._connection.execute(sa.select(models).where(models.c.name == name))).one_or_none()
        return None if row is None else _record(row)

    async def list(self) -> list[ModelRecord]:
        """Return all models, oldest first."""
        query = sa.select(models).order_by(models.c.created_at, models.c.name)
        return [_record(row) for row in await self._connection.execute(query)]


class ModelWriter(ModelReader):
    """Reads and writes models."""

    def __init__(self, connection: AsyncConnection, log: ChangeLog, now: datetime) -> None:
        super().__init__(connection)
        self._log = log
        self._now = now

    async def register(
        self,
        name: str,
        *,
        digest: str,
        bits: int,
        descriptor_bytes: int,
        origin: str,
        document: dict[str, Any],
        location: str,
    ) -> ModelRecord:
        """Register a model; for a known name and digest, update its location and document.

        Raises:
            ModelMismatch: The name belongs to a model with another digest, whose codes are not comparable.
            ModelExists: A model with another name has the same digest.
        """
        known = await self.get(name)
        if known is not None and known.digest != digest:
            raise ModelMismatch(f"another model already has the name {name}")
        if known is not None and (known.location, known.document) == (location, document):
            return known  # every process registers its models at startup; take no change number for that
        if known is None:
            await self._require_new_digest(digest)
        record = ModelRecord(
            name=name,
            digest=digest,
            bits=bits,
            descriptor_bytes=descriptor_bytes,
            origin=Origin(origin),
            document=document,
            location=location,
            created_at=known.created_at if known is not None else self._now,
        )
        await self._put(record)
        return record

    async def _require_new_digest(self, digest: str) -> None:
        name = await self._connection.scalar(sa.select(models.c.name).where(models.c.digest == digest))
        if name is not None:
            raise ModelExists(f"the same model is already registered as {name}")

    async def _put(self, record: ModelRecord) -> None:
        change = await self._log.take_one()
        values = asdict(record)
        updated = await self._connection.execute(
            sa.update(models).where(models.c.name == record.name).values(values)
        )
        if updated.rowcount == 0:
            await self._connection.execute(sa.insert(models).values(values))
        await self._log.record(ChangeKind.MODEL_PUT, change, model=record.name)
