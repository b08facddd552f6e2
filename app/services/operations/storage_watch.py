"""Watch whether the database and the picture store are still those that this process opened."""

import asyncio
import time
from typing import Final

import structlog

from app.domain.errors import LookalikeError
from app.images.objects import Objects
from app.store.engine import Database

_log = structlog.get_logger()

LOOK_EVERY_S: Final = 1.0
SILENT_S: Final = 15.0
"""A look that takes longer has met a disk that does not answer."""


class StorageWatch:
    """Looks at the database file and the folder of the pictures; readiness depends on both.

    Writes look for themselves. This notices a missing folder on a service that only searches.
    """

    def __init__(self, database: Database, objects: Objects) -> None:
        """Watch the file of ``database`` and the folder of ``objects``."""
        self._database = database
        self._objects = objects
        self._fault: str | None = None
        self._answered_at = time.monotonic()

    @property
    def fault(self) -> str | None:
        """Why nothing can be stored; None if all is well."""
        if time.monotonic() - self._answered_at > SILENT_S:
            return "the disk of the database or the pictures does not answer"
        return self._fault

    async def look(self) -> None:
        """Look once."""
        fault = await asyncio.to_thread(self._find_fault)
        self._answered_at = time.monotonic()
        if fault is not None and self._fault is None:
            _log.error("storage_gone", detail=fault)
        elif fault is None and self._fault is not None:
            _log.info("storage_back")
        self._fault = fault

    def _find_fault(self) -> str | None:
        try:
            self._database.check_identity()
            self._objects.check_identity()
        except LookalikeError as error:
            return error.detail
        return None
