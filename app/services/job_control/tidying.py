"""Delete old jobs, old stored answers, and processes without heartbeats."""

from datetime import timedelta
from typing import Final

import structlog

from app.services.job_control.heartbeats import SILENT_S
from app.store.engine import Database

_log = structlog.get_logger()

ANSWERS_KEPT: Final = timedelta(days=2)
"""How long the answer of an ``Idempotency-Key`` is stored."""
MAX_ANSWERS: Final = 100_000
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""Most bytes of all stored answers; beyond it the oldest are deleted."""


class JobTidying:
    """Prunes by age; safe to run twice."""

    def __init__(self, database: Database, *, retention: timedelta) -> None:
        """Keep jobs for ``retention`` after they are over."""
        self._database = database
        self._retention = retention

    async def tidy(self) -> int:
        """Delete what has expired; return the number of deleted jobs.

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
