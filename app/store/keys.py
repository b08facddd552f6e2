"""API keys; only a hash of each secret is stored."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.access import KeyRecord, Scope
from app.domain.changes import ChangeKind
from app.domain.errors import UnknownKey
from app.store.batches import in_batches
from app.store.changes import ChangeLog
from app.store.tables import keys


def _record(row: sa.Row[Any]) -> KeyRecord:
    return KeyRecord(**{**row._asdict(), "scope": Scope(row.scope)})


class KeyReader:
    """Reads keys."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, key_id: str) -> KeyRecord | None:
        """Return the key with this id, revoked or not, or None."""
        row = (await self._connection.execute(sa.select(keys).where(keys.c.id == key_id))).one_or_none()
        return None if row is None else _record(row)

    async def list(self) -> list[KeyRecord]:
        """Return all keys, including revoked ones, oldest first."""
        query = sa.select(keys).order_by(keys.c.created_at, keys.c.id)
        return [_record(row) for row in await self._connection.execute(query)]


class KeyWriter(KeyReader):
    """Reads and writes keys."""

    def __init__(self, connection: AsyncConnection, log: ChangeLog, now: datetime) -> None:
        super().__init__(connection)
        self._log = log
        self._now = now

    async def create(self, *, key_id: str, name: str, prefix: str, secret_hash: str, scope: str) -> KeyRecord:
        """Store a new key."""
        change = await self._log.take_one()
        created = KeyRecord(
            id=key_id,
            name=name,
            prefix=prefix,
            secret_hash=secret_hash,
            scope=Scope(scope),
            created_at=self._now,
            revoked_at=None,
            last_used_at=None,
        )
        await self._connection.execute(sa.insert(keys).values(asdict(created)))
        await self._log.record(ChangeKind.KEYS, change)
        return created

    async def revoke(self, key_id: str) -> KeyRecord:
        """Revoke a key; revoking it again changes nothing.

        Raises:
            UnknownKey: The key does not exist.
        """
        change = await self._log.take_one()
        await self._connection.execute(
            sa.update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=self._now)
        )
        revoked = await self.get(key_id)
        if revoked is None:
            raise UnknownKey
        await self._log.record(ChangeKind.KEYS, change)
        return revoked

    async def touch(self, key_ids: Sequence[str]) -> None:
        """Record that keys were used now. Callers collect uses and write them periodically."""
        for batch in in_batches(key_ids):
            await self._connection.execute(
                sa.update(keys).where(keys.c.id.in_(batch)).values(last_used_at=self._now)
            )
