"""Run chores that delete expired data, each with a bounded amount of work a turn.

Every process runs a ``Retention``. One process, the one listed longest, does the chores on the shared database
and picture store. Every process does the chores on its machine's files. A process that was frozen may briefly
believe that it is still the oldest, so chores must be safe when two processes run them at once: they work in
write units, which take turns.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from app.domain.errors import LookalikeError
from app.services.job_control.heartbeats import SILENT_S
from app.store.engine import Database
from app.telemetry.metrics import BACKGROUND_FAILURES

_log = structlog.get_logger()

PAUSE_S: Final = 0.2
"""Seconds between two turns of an unfinished chore, so that other writers get a turn."""
RETRY_S: Final = 60.0
"""Seconds until a failed chore is retried, unless its interval is shorter."""


@dataclass(frozen=True, slots=True)
class Chore:
    """One recurring deletion."""

    name: str
    turn: Callable[[], Awaitable[bool]]
    """Does a bounded amount of work; returns whether more is due."""
    every_s: float
    """Seconds between runs."""
    is_local: bool = False
    """Whether it concerns this machine's files, so that every process runs it."""


class Retention:
    """Runs the chores that are due."""

    def __init__(self, database: Database, chores: Sequence[Chore], *, process_id: str) -> None:
        """Run ``chores`` as the process that ``database`` lists under ``process_id``."""
        self._database = database
        self._process_id = process_id
        self._due = dict.fromkeys(chores, time.monotonic())

    async def turn(self) -> float:
        """Run one turn of each chore that is due; a failure does not stop the others.

        Returns:
            Seconds until the next chore is due.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        due = [chore for chore, at in self._due.items() if at <= time.monotonic()]
        shared = [chore for chore in due if not chore.is_local]
        leads = bool(shared) and await self._leads()
        for chore in due:
            wait_s = chore.every_s
            if leads or chore.is_local:
                wait_s = await self._do(chore)
            self._due[chore] = time.monotonic() + wait_s
        return max(0.0, min(self._due.values()) - time.monotonic())

    async def _do(self, chore: Chore) -> float:
        try:
            is_more_due = await chore.turn()
        except LookalikeError as error:
            _log.warning("retention_failed", chore=chore.name, detail=error.detail)
        except Exception:  # noqa: BLE001 - a defect in one chore must not end the others
            _log.exception("retention_crashed", chore=chore.name)
        else:
            return PAUSE_S if is_more_due else chore.every_s
        BACKGROUND_FAILURES.labels(f"retention: {chore.name}").inc()
        return min(RETRY_S, chore.every_s)

    async def _leads(self) -> bool:
        async with self._database.read() as unit:
            return await unit.processes.oldest_living(SILENT_S) == self._process_id
