"""The processes that work on this database: which live, how far each is, and which models each can serve."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.clock import read_clock
from app.store.records import ModelReport, ProcessRecord, Readiness
from app.store.tables import process_models, processes


class ProcessReader:
    """Reads which processes live."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self) -> list[ProcessRecord]:
        """Every process that has not been removed, the oldest first."""
        query = sa.select(processes).order_by(processes.c.started_at, processes.c.id)
        return [ProcessRecord(**row._asdict()) for row in await self._connection.execute(query)]

    async def live_workers(self, silent_s: float) -> Sequence[ProcessRecord]:
        """The processes that do jobs and were heard of within so many seconds, the oldest first."""
        since = await read_clock(self._connection) - timedelta(seconds=silent_s)
        return [one for one in await self.list() if one.kind == "worker" and one.heartbeat_at >= since]

    async def oldest_living(self, silent_s: float) -> str | None:
        """The id of the process that has been listed longest, of those heard of within so many seconds."""
        since = await read_clock(self._connection) - timedelta(seconds=silent_s)
        return next((one.id for one in await self.list() if one.heartbeat_at >= since), None)

    async def slowest_change(self) -> int | None:
        """The change number that every process with indexes has reached; None without such a process."""
        reached: int | None = await self._connection.scalar(sa.select(sa.func.min(processes.c.reached_change)))
        return reached

    async def readiness(self, collection_pk: int, model: str) -> Sequence[Readiness]:
        """Whether each process that has indexes can serve a collection under a model, the oldest first."""
        said = sa.and_(
            process_models.c.process_id == processes.c.id,
            process_models.c.collection_pk == collection_pk,
            process_models.c.model == model,
        )
        query = (
            sa.select(processes.c.id, processes.c.host, processes.c.pid)
            .add_columns(process_models.c.is_ready, process_models.c.detail)
            .outerjoin(process_models, said)
            .where(processes.c.reached_change.is_not(None))
            .order_by(processes.c.started_at, processes.c.id)
        )
        return [Readiness(**row._asdict()) for row in await self._connection.execute(query)]


class ProcessWriter(ProcessReader):
    """Reads and keeps the processes."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        super().__init__(connection)
        self._now = now

    async def register(
        self,
        process_id: str,
        *,
        kind: str,
        host: str,
        pid: int,
        reached_change: int | None = None,
        training_lacks: str | None = None,
    ) -> None:
        """Make a process known."""
        row = {"id": process_id, "kind": kind, "host": host, "pid": pid, "reached_change": reached_change}
        row["training_lacks"] = training_lacks
        times = {"started_at": self._now, "heartbeat_at": self._now}
        await self._connection.execute(sa.insert(processes).values(row | times))

    async def beat(self, process_id: str, *, reached_change: int | None = None) -> bool:
        """Note that a process lives and how far its indexes are; False where it was given up for dead."""
        alive = (
            sa.update(processes)
            .where(processes.c.id == process_id)
            .values(heartbeat_at=self._now, reached_change=reached_change)
        )
        return (await self._connection.execute(alive)).rowcount == 1

    async def report_models(self, process_id: str, reports: Sequence[ModelReport]) -> None:
        """Note which collections a process can serve under which other models; what it said before is gone."""
        await self._connection.execute(
            sa.delete(process_models).where(process_models.c.process_id == process_id)
        )
        rows = [asdict(report) | {"process_id": process_id} for report in reports]
        if rows:
            await self._connection.execute(sa.insert(process_models), rows)

    async def remove(self, process_id: str) -> None:
        """Forget a process that ends."""
        await self._forget(processes.c.id == process_id)

    async def evict_silent(self, silent_s: float) -> list[str]:
        """Forget the processes that have not been heard of for so long; returns their ids."""
        is_silent = processes.c.heartbeat_at < self._now - timedelta(seconds=silent_s)
        silent = list(await self._connection.scalars(sa.select(processes.c.id).where(is_silent)))
        await self._forget(is_silent)
        return silent

    async def _forget(self, which: sa.ColumnElement[bool]) -> None:
        gone = sa.select(processes.c.id).where(which)
        await self._connection.execute(sa.delete(process_models).where(process_models.c.process_id.in_(gone)))
        await self._connection.execute(sa.delete(processes).where(which))
