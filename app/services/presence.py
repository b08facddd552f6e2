"""Makes a process known to the others on its database, for as long as it lives."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, Self

import structlog

from app.domain.errors import LookalikeError
from app.store.engine import Database

_log = structlog.get_logger()

HEARTBEAT_S: Final = 5.0
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
    ) -> None:
        """Speak for this process.

        Args:
            database: Whose processes are listed.
            kind: What the process does.
            reached_change: The change number that its indexes stand at, None where it has none.
        """
        self.id: Final = f"{kind}-{secrets.token_hex(8)}"
        self._database = database
        self._kind = kind
        self._reached_change = reached_change
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._register()
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
            await unit.processes.register(self.id, kind=self._kind, host=socket.gethostname(), pid=os.getpid())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                async with self._database.sign_of_life() as unit:
                    known = await unit.processes.beat(self.id, reached_change=self._reached_change())
                if not known:
                    # Given up for dead while it was frozen or cut off: it lives all the same.
                    await self._register()
            except LookalikeError as error:
                _log.warning("sign_of_life_failed", detail=error.detail)
