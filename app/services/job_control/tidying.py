"""Forgets what no longer matters to anybody: old jobs, old answers, processes that fell silent."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final

import structlog

from app.domain.errors import LookalikeError
from app.services.job_control.heartbeats import SILENT_S
from app.store.engine import Database

_log = structlog.get_logger()

INTERVAL_S: Final = 600.0
ANSWERS_KEPT: Final = timedelta(days=2)
"""How long an ``Idempotency-Key`` is remembered."""


class JobTidying:
    """Prunes by age. Every worker does it; doing it twice does no harm."""

    def __init__(
        self, database: Database, *, retention: timedelta, sweeps: Sequence[Callable[[], Awaitable[int]]] = ()
    ) -> None:
        """Keep jobs for ``retention`` after they are over; ``sweeps`` remove what else they left behind."""
        self._database = database
        self._sweeps = sweeps
        self._retention = retention

    async def tidy(self) -> int:
        """Forget what is due; returns how many jobs that were."""
        async with self._database.write() as unit:
            jobs = await unit.jobs.prune(unit.now - self._retention)
            await unit.idempotency.prune(unit.now - ANSWERS_KEPT)
            gone = await unit.processes.evict_silent(SILENT_S)
        for sweep in self._sweeps:
            await sweep()
        if gone:
            _log.warning("processes_fell_silent", processes=gone)
        if jobs:
            _log.info("jobs_pruned", jobs=len(jobs))
        return len(jobs)

    async def run(self) -> None:
        """Tidy now and every ten minutes until cancelled."""
        while True:
            try:
                await self.tidy()
            except LookalikeError as error:
                _log.warning("tidying_failed", detail=error.detail)
            await asyncio.sleep(INTERVAL_S)
