"""Removes what has served its time: one list of chores, each a bounded amount of work a turn.

Every process runs a ``Retention``. Chores on the shared database and picture store are done by one process, the
one that has been listed longest. Chores on files of a machine are done by every process. A process that was
frozen may believe for a moment that it is still the oldest, so a chore must be safe when two processes do it at
a time: it works in write units, which take turns.
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
"""Between two turns of a chore that is not done yet, so that other writers get theirs."""
RETRY_S: Final = 60.0
"""A chore that failed is tried again after so many seconds, or after its interval if that is shorter."""


@dataclass(frozen=True, slots=True)
class Chore:
    """One kind of thing that is removed."""

    name: str
    turn: Callable[[], Awaitable[bool]]
    """Does a bounded amount of work; returns whether more is due at once."""
    every_s: float
    """Seconds from when it was done to when it is due again."""
    is_local: bool = False
    """Whether it concerns files of this machine, so that every process does it."""


class Retention:
    """Does the chores that are due."""

    def __init__(self, database: Database, chores: Sequence[Chore], *, process_id: str) -> None:
        """Do ``chores`` as the process that is listed in ``database`` as ``process_id``."""
        self._database = database
        self._process_id = process_id
        self._due = dict.fromkeys(chores, time.monotonic())

    async def turn(self) -> float:
        """Do one turn of each chore that is due; one that fails does not keep the others from theirs.

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
