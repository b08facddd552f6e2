"""Makes a process known to the others on its database, for as long as it lives."""

import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Literal, Self

import structlog

from app.domain.errors import LookalikeError
from app.services.supervision import BackgroundTask, Supervisor
from app.store.engine import Database
from app.store.records import ProcessModelReport

_log = structlog.get_logger()

HEARTBEAT_S: Final = 2.0
"""Seconds between two heartbeats."""
SILENT_S: Final = 60.0
"""A process that was not heard of for so many seconds is dead, or cut off from the database."""


class Heartbeats:
    """Keeps one process listed in the table of processes: ``async with Heartbeats(...) as heartbeats``."""

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
            database: Whose processes are listed.
            supervisor: Keeps the heart beating.
            kind: What the process does.
            reached_change: The change number that its indexes stand at, None where it has none.
            model_reports: Which collections it can serve under which models that they may be switched to.
            training_lacks: Packages that a worker would need to train.
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
            # A process that cannot write yet can search, or wait for work; the next heartbeat registers it.
            _log.warning("heartbeat_failed", detail=error.detail)
        self._task = self._supervisor.repeat("heartbeats", self.beat, every_s=HEARTBEAT_S, at_once=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            await self._task.stop()
        # Without the database the others find out by the silence.
        with contextlib.suppress(LookalikeError):
            async with self._database.write() as unit:
                await unit.processes.remove(self.id)

    def beat_now(self) -> None:
        """Send the next heartbeat at once, because what it reports has changed."""
        if self._task is not None:
            self._task.wake()

    async def beat(self) -> None:
        """Send one heartbeat; a process that is not listed, or not any more, is listed again."""
        try:
            if not await self._send():
                # Not known yet, or taken for dead while it was frozen or cut off.
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
        """Beat, and report what has changed; False where this process was taken for dead."""
        reports = self._model_reports()
        async with self._database.sign_of_life() as unit:
            known = await unit.processes.beat(self.id, reached_change=self._reached_change())
            if known and reports != self._reported:
                await unit.processes.report_models(self.id, reports)
        if known:
            self._reported = reports
        return known
