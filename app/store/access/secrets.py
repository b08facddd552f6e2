"""Secrets that all processes of a service share, such as the signing key of cursors."""

import secrets
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.schema.tables import secrets as secrets_table

SECRET_BYTES: Final = 32


class SecretReader:
    """Reads secrets."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, name: str) -> bytes | None:
        """Return the secret with this name, or None."""
        query = sa.select(secrets_table.c.secret).where(secrets_table.c.name == name)
        secret: bytes | None = await self._connection.scalar(query)
        return secret


class SecretWriter(SecretReader):
    """Reads and creates secrets."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        super().__init__(connection)
        self._now = now

    async def get_or_create(self, name: str) -> bytes:
        """Return the secret with this name; create it from 32 random bytes on the first call."""
        existing = await self.get(name)
        if existing is not None:
            return existing
        secret = secrets.token_bytes(SECRET_BYTES)
        row = {"name": name, "secret": secret, "created_at": self._now}
        await self._connection.execute(sa.insert(secrets_table).values(row))
        return secret
