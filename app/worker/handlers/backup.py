"""Handlers of ``backup`` and ``restore`` jobs."""

import asyncio
import shutil
from contextlib import suppress
from functools import partial
from typing import Any, Final

from app.bootstrap import WorkerServices
from app.domain.errors import LookalikeError
from app.jobs.leases import HeldPart
from app.jobs.runner import Handler
from app.jobs.steps import RepeatedSteps
from app.services.operations.missing_hashes import MissingHashes

SAVE_EVERY: Final = 5_000
"""Items between two saves of progress."""


def make_backup_handler(services: WorkerServices) -> Handler:
    """Return the handler of ``backup`` jobs."""
    return partial(backup, services)


def make_restore_handler(services: WorkerServices) -> Handler:
    """Return the handler of ``restore`` jobs."""
    return partial(restore, services)


class _Steps:
    """Saves progress every few thousand items, so that a cancellation is noticed in time."""

    def __init__(self, part: HeldPart) -> None:
        self._steps = RepeatedSteps(part)
        self._done = 0
        self._calls = 0
        self._phase = ""

    async def __call__(self, phase: str, done: int) -> None:
        self._done += done
        self._calls += 1
        if phase != self._phase or self._done >= SAVE_EVERY or self._calls >= SAVE_EVERY:
            await self._steps.add(self._done, None, phase)
            self._done, self._calls, self._phase = 0, 0, phase


async def backup(services: WorkerServices, part: HeldPart) -> dict[str, Any]:
    """Make a backup; after a kill start over, because a backup is of one moment."""
    if "taken" in part.checkpoint:
        return dict(part.checkpoint["taken"])
    manifest = await services.backups.take(
        part.lease.job_id,
        copy_pictures=part.lease.arguments["copy_pictures"],
        progress=_Steps(part),
    )
    document = manifest.document()
    result = {name: document[name] for name in ("id", "created_at", "change", "pictures", "missing_files")}
    async with part.batch() as batch:
        await batch.unit.backups.add(manifest.id, document)
        batch.save({"taken": result}, phase="taken")
    return result


async def restore(services: WorkerServices, part: HeldPart) -> dict[str, Any]:
    """Restore a backup; a kill leaves the service either as before or as in the backup."""
    if "restored" in part.checkpoint:
        return dict(part.checkpoint["restored"])
    manifest = await services.backups.manifest(part.lease.arguments["backup"])
    spool = await services.backups.fetch(manifest, _Steps(part))
    async with part.batch() as batch:
        change = await services.backups.restore(batch.unit, manifest, spool)
        result = {"id": manifest.id, "pictures": manifest.pictures, "index_version": change}
        batch.save({"restored": result}, phase="restored")
    await asyncio.to_thread(shutil.rmtree, spool, ignore_errors=True)
    # Backups of earlier versions have no perceptual hashes. If this fails, a chore does it later.
    with suppress(LookalikeError):
        await MissingHashes(services.database, services.jobs).queue_jobs()
    return result
