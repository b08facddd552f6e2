"""The clock that processes on several machines share: the database's."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.columns import UtcDateTime


async def read_clock(connection: AsyncConnection) -> datetime:
    """The time now: the server's on Postgres, and this machine's on SQLite, which no other machine shares."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = (
        await connection.execute(sa.select(sa.func.clock_timestamp(type_=UtcDateTime)))
    ).scalar_one()
    return now
