"""Forgets what no longer matters to anybody: old jobs, old answers, processes that fell silent."""

from datetime import timedelta
from typing import Final

import structlog

from app.services.job_control.heartbeats import SILENT_S
from app.store.engine import Database

_log = structlog.get_logger()

ANSWERS_KEPT: Final = timedelta(days=2)
"""How long an ``Idempotency-Key`` is remembered."""
MAX_ANSWERS: Final = 100_000
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""What all remembered answers may take together; beyond either bound the oldest go."""


class JobTidying:
    """Prunes by age. Doing it twice does no harm."""

    def __init__(self, database: Database, *, retention: timedelta) -> None:
        """Keep jobs for ``retention`` after they are over."""
        self._database = database
        self._retention = retention

    async def tidy(self) -> int:
        """Forget what is due; returns how many jobs that were.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        async with self._database.write() as unit:
            jobs = await unit.jobs.prune(unit.now - self._retention)
            await unit.idempotency.prune(
                unit.now - ANSWERS_KEPT, max_answers=MAX_ANSWERS, max_bytes=MAX_ANSWER_BYTES
            )
            gone = await unit.processes.evict_silent(SILENT_S)
        if gone:
            _log.warning("processes_fell_silent", processes=gone)
        if jobs:
            _log.info("jobs_pruned", jobs=len(jobs))
        return len(jobs)
