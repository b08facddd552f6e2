"""Registry of the processes that use this database: heartbeats, progress and the models each can serve."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.processes import ProcessModelReport, ProcessReadiness, ProcessRecord
from app.store.schema.clock import read_clock
from app.store.schema.tables import process_models, processes


class ProcessReader:
    """Reads the registered processes."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self) -> list[ProcessRecord]:
        """Return all registered processes, oldest first."""
        query = sa.select(processes).order_by(processes.c.started_at, processes.c.id)
        return [ProcessRecord(**row._asdict()) for row in await self._connection.execute(query)]

    async def live_workers(self, silent_s: float) -> Sequence[ProcessRecord]:
        """Return the workers with a heartbeat in the last ``silent_s`` seconds, oldest first."""
        return [process for process in await self.live(silent_s) if process.kind == "worker"]

    async def oldest_living(self, silent_s: float) -> str | None:
        """Return the id of the oldest process with a heartbeat in the last ``silent_s`` seconds, or None."""
        return next((process.id for process in await self.live(silent_s)), None)

    async def slowest_change(self) -> int | None:
        """Return the change number that all processes with indexes have reached; None if there are none."""
        reached: int | None = await self._connection.scalar(sa.select(sa.func.min(processes.c.reached_change)))
        return reached

    async def readiness(self, collection_pk: int, model: str) -> Sequence[ProcessReadiness]:
        """Return whether each process with indexes can serve a collection under a model, oldest first."""
        on_report = sa.and_(
            process_models.c.process_id == processes.c.id,
            process_models.c.collection_pk == collection_pk,
            process_models.c.model == model,
        )
        query = (
            sa.select(processes.c.id, processes.c.host, processes.c.pid)
            .add_columns(process_models.c.is_ready, process_models.c.detail)
            .outerjoin(process_models, on_report)
            .where(processes.c.reached_change.is_not(None))
            .order_by(processes.c.started_at, processes.c.id)
        )
        return [ProcessReadiness(**row._asdict()) for row in await self._connection.execute(query)]

    async def live(self, silent_s: float) -> Sequence[ProcessRecord]:
        """Return the processes with a heartbeat in the last ``silent_s`` seconds, oldest first."""
        now, silence = await read_clock(self._connection), timedelta(seconds=silent_s)
        # One in the future was written before the clock was set back; a live process writes the next one soon.
        return [one for one in await self.list() if now - silence <= one.heartbeat_at <= now + silence]


class ProcessWriter(ProcessReader):
    """Reads and writes the registered processes."""

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
        """Register a process."""
        row = {"id": process_id, "kind": kind, "host": host, "pid": pid, "reached_change": reached_change}
        row["training_lacks"] = training_lacks
        times = {"started_at": self._now, "heartbeat_at": self._now}
        await self._connection.execute(sa.insert(processes).values(row | times))

    async def beat(self, process_id: str, *, reached_change: int | None = None) -> bool:
        """Record a heartbeat and the change number of the process's indexes; return False if it was evicted."""
        alive = (
            sa.update(processes)
            .where(processes.c.id == process_id)
            .values(heartbeat_at=self._now, reached_change=reached_change)
        )
        return (await self._connection.execute(alive)).rowcount == 1

    async def report_models(self, process_id: str, reports: Sequence[ProcessModelReport]) -> None:
        """Replace a process's reports on which collections it can serve under which other models."""
        await self._connection.execute(
            sa.delete(process_models).where(process_models.c.process_id == process_id)
        )
        rows = [asdict(report) | {"process_id": process_id} for report in reports]
        if rows:
            await self._connection.execute(sa.insert(process_models), rows)

    async def remove(self, process_id: str) -> None:
        """Remove a process that ends."""
        await self._delete(processes.c.id == process_id)

    async def evict_silent(self, silent_s: float) -> list[str]:
        """Remove the processes without a heartbeat in the last ``silent_s`` seconds; return their ids."""
        silence = timedelta(seconds=silent_s)
        # One in the future was written before the clock was set back: it is counted from now on.
        await self._connection.execute(
            sa.update(processes)
            .where(processes.c.heartbeat_at > self._now + silence)
            .values(heartbeat_at=self._now)
        )
        is_silent = processes.c.heartbeat_at < self._now - silence
        silent = list(await self._connection.scalars(sa.select(processes.c.id).where(is_silent)))
        await self._delete(is_silent)
        return silent

    async def _delete(self, condition: sa.ColumnElement[bool]) -> None:
        ids = sa.select(processes.c.id).where(condition)
        await self._connection.execute(sa.delete(process_models).where(process_models.c.process_id.in_(ids)))
        await self._connection.execute(sa.delete(processes).where(condition))
