"""The database's clock, which processes on several machines share."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.schema.columns import UtcDateTime


async def read_clock(connection: AsyncConnection) -> datetime:
    """Return the current time: the server's on Postgres, this machine's on SQLite."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = (
        await connection.execute(sa.select(sa.func.clock_timestamp(type_=UtcDateTime)))
    ).scalar_one()
    return now
