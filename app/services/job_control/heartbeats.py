"""Makes a process known to the others on its database, for as long as it lives."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Literal, Self

import structlog

from app.domain.errors import LookalikeError
from app.store.engine import Database
from app.store.records import ModelReport

_log = structlog.get_logger()

HEARTBEAT_S: Final = 2.0
"""Between two signs of life."""
SILENT_S: Final = 60.0
"""Who has not been heard of for so long is dead, or cut off from the database."""


class Presence:
    """One process in the table of processes. Use as ``async with Presence(...) as presence``."""

    def __init__(
        self,
        database: Database,
        kind: Literal["api", "worker"],
        *,
        reached_change: Callable[[], int | None] = lambda: None,
        model_reports: Callable[[], Sequence[ModelReport]] = tuple,
        reports_changed: asyncio.Event | None = None,
        training_lacks: Sequence[str] | None = None,
    ) -> None:
        """Speak for this process.

        Args:
            database: Whose processes are listed.
            kind: What the process does.
            reached_change: The change number that its indexes stand at, None where it has none.
            model_reports: Which collections it can serve under which models that they may be switched to.
            reports_changed: Set whenever that has changed.
            training_lacks: Packages that a worker would need to train.
        """
        self.id: Final = f"{kind}-{secrets.token_hex(8)}"
        self._database = database
        self._kind = kind
        self._reached_change = reached_change
        self._model_reports = model_reports
        self._reports_changed = reports_changed or asyncio.Event()
        self._training_lacks = None if training_lacks is None else ", ".join(training_lacks)
        self._reported: Sequence[ModelReport] = ()
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._register()
        except LookalikeError as error:
            # Who cannot write yet can already search, or wait for work; the next sign of life registers it.
            _log.warning("sign_of_life_failed", detail=error.detail)
        self._beating = asyncio.create_task(self._beat(), name="presence")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beating is not None:
            self._beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beating
        # Without the database the others find out by the silence.
        with contextlib.suppress(LookalikeError):
            async with self._database.write() as unit:
                await unit.processes.remove(self.id)

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

    async def _beat(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reports_changed.wait(), HEARTBEAT_S)
            self._reports_changed.clear()
            try:
                if not await self._give_sign_of_life():
                    # Not known yet, or given up for dead while frozen or cut off: it lives all the same.
                    await self._register()
                    await self._give_sign_of_life()
            except LookalikeError as error:
                _log.warning("sign_of_life_failed", detail=error.detail)

    async def _give_sign_of_life(self) -> bool:
        """Beat, and tell what has changed; False where this process was given up for dead."""
        reports = self._model_reports()
        async with self._database.sign_of_life() as unit:
            known = await unit.processes.beat(self.id, reached_change=self._reached_change())
            if known and reports != self._reported:
                await unit.processes.report_models(self.id, reports)
        if known:
            self._reported = reports
        return known
