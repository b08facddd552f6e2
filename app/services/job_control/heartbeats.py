"""Register a process with the others on its database while it lives."""

import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Literal, Self

import structlog

from app.domain.errors import LookalikeError
from app.domain.processes import ProcessModelReport
from app.services.supervision import BackgroundTask, Supervisor
from app.store.engine import Database

_log = structlog.get_logger()

HEARTBEAT_S: Final = 2.0
"""Seconds between two heartbeats."""
SILENT_S: Final = 60.0
"""Seconds without a heartbeat after which a process counts as dead."""


class Heartbeats:
    """Keeps this process in the table of processes: ``async with Heartbeats(...) as heartbeats``."""

    def __init__(
        self,
        database: Database,
        supervisor: Supervisor,
        kind: Literal["api", "worker"],
        *,
        reached_change: Callable[[], int | None] = lambda: None,
        model_reports: Callable[[], Sequence[ProcessModelReport]] = tuple,
        training_lacks: Sequence[str] | None = None,
    ) -> None:
        """Report on this process.

        Args:
            database: Database with the table of processes.
            supervisor: Runs the heartbeats.
            kind: Kind of process.
            reached_change: Returns the change number of its indexes; None for a process without indexes.
            model_reports: Returns which collections it can serve under which standby models.
            training_lacks: Packages that a worker lacks for training.
        """
        self.id: Final = f"{kind}-{secrets.token_hex(8)}"
        self._database = database
        self._supervisor = supervisor
        self._kind = kind
        self._reached_change = reached_change
        self._model_reports = model_reports
        self._training_lacks = None if training_lacks is None else ", ".join(training_lacks)
        self._reported: Sequence[ProcessModelReport] = ()
        self._task: BackgroundTask | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._register()
        except LookalikeError as error:
            # A process that cannot write yet can still search or wait; the next heartbeat registers it.
            _log.warning("heartbeat_failed", detail=error.detail)
        self._task = self._supervisor.repeat("heartbeats", self.beat, every_s=HEARTBEAT_S, at_once=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            await self._task.stop()
        # Without the database, the others notice the missing heartbeats.
        with contextlib.suppress(LookalikeError):
            async with self._database.write() as unit:
                await unit.processes.remove(self.id)

    def beat_now(self) -> None:
        """Send the next heartbeat at once, because what it reports has changed."""
        if self._task is not None:
            self._task.wake()

    async def beat(self) -> None:
        """Send one heartbeat; register the process if it is not listed."""
        try:
            if not await self._send():
                # Not registered yet, or removed as dead while it was frozen or cut off.
                await self._register()
                await self._send()
        except LookalikeError as error:
            _log.warning("heartbeat_failed", detail=error.detail)

    async def _register(self) -> None:
        async with self._database.write() as unit:
            await unit.processes.register(
                self.id,
                kind=self._kind,
                host=socket.gethostname(),
                pid=os.getpid(),
                training_lacks=self._training_lacks,
            )
        self._reported = ()

    async def _send(self) -> bool:
        """Send a heartbeat and what has changed; return False if the process is not listed."""
        reports = self._model_reports()
        async with self._database.sign_of_life() as unit:
            known = await unit.processes.beat(self.id, reached_change=self._reached_change())
            if known and reports != self._reported:
                await unit.processes.report_models(self.id, reports)
        if known:
            self._reported = reports
        return known
