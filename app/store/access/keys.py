"""API keys, of which only hashes of the secrets are stored, and sessions that have ended."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.access import KeyRecord, Scope
from app.domain.changes import ChangeKind
from app.domain.errors import UnknownKey
from app.store.driver.batches import in_batches
from app.store.pictures.changes import ChangeLog
from app.store.schema.tables import ended_sessions, keys


def _record(row: sa.Row[Any]) -> KeyRecord:
    collections = None if row.collections is None else tuple(row.collections)
    return KeyRecord(**{**row._asdict(), "scope": Scope(row.scope), "collections": collections})


class KeyReader:
    """Reads keys."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, key_id: str) -> KeyRecord | None:
        """Return the key with this id, valid or not, or None."""
        row = (await self._connection.execute(sa.select(keys).where(keys.c.id == key_id))).one_or_none()
        return None if row is None else _record(row)

    async def list(self) -> list[KeyRecord]:
        """Return all keys, including revoked and expired ones, oldest first."""
        query = sa.select(keys).order_by(keys.c.created_at, keys.c.id)
        return [_record(row) for row in await self._connection.execute(query)]

    async def ended_sessions(self) -> frozenset[str]:
        """Return the ids of the sessions that ended before they expired."""
        return frozenset(await self._connection.scalars(sa.select(ended_sessions.c.id)))


class KeyWriter(KeyReader):
    """Reads and writes keys."""

    def __init__(self, connection: AsyncConnection, log: ChangeLog, now: datetime) -> None:
        super().__init__(connection)
        self._log = log
        self._now = now

    async def create(
        self,
        *,
        key_id: str,
        name: str,
        prefix: str,
        secret_hash: str,
        scope: str,
        collections: Sequence[str] | None = None,
        originals: bool = False,
        expires_at: datetime | None = None,
    ) -> KeyRecord:
        """Store a new key."""
        change = await self._log.take_one()
        created = KeyRecord(
            id=key_id,
            name=name,
            prefix=prefix,
            secret_hash=secret_hash,
            scope=Scope(scope),
            collections=None if collections is None else tuple(collections),
            originals=originals,
            created_at=self._now,
            expires_at=expires_at,
            revoked_at=None,
            last_used_at=None,
            previous_hash=None,
            previous_until=None,
        )
        await self._connection.execute(sa.insert(keys).values(asdict(created)))
        await self._log.record(ChangeKind.KEYS, change)
        return created

    async def update(self, key_id: str, **changes: Any) -> KeyRecord:
        """Change columns of a key.

        Raises:
            UnknownKey: The key does not exist.
        """
        change = await self._log.take_one()
        await self._connection.execute(sa.update(keys).where(keys.c.id == key_id).values(changes))
        changed = await self.get(key_id)
        if changed is None:
            raise UnknownKey
        await self._log.record(ChangeKind.KEYS, change)
        return changed

    async def revoke(self, key_id: str) -> KeyRecord:
        """Revoke a key; revoking it again changes nothing.

        Raises:
            UnknownKey: The key does not exist.
        """
        return await self.update(key_id, revoked_at=sa.func.coalesce(keys.c.revoked_at, sa.literal(self._now)))

    async def touch(self, key_ids: Sequence[str]) -> None:
        """Record that keys were used now. Callers collect uses and write them periodically."""
        for batch in in_batches(key_ids):
            await self._connection.execute(
                sa.update(keys).where(keys.c.id.in_(batch)).values(last_used_at=self._now)
            )

    async def end_session(self, session_id: str, expires_at: datetime) -> None:
        """Record that a session has ended, until it would have expired; ending it again changes nothing."""
        change = await self._log.take_one()
        await self._connection.execute(
            sa.delete(ended_sessions).where(
                sa.or_(ended_sessions.c.expires_at <= self._now, ended_sessions.c.id == session_id)
            )
        )
        await self._connection.execute(sa.insert(ended_sessions).values(id=session_id, expires_at=expires_at))
        await self._log.record(ChangeKind.KEYS, change)
