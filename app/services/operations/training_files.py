"""Remove what trainings leave that failed, were cancelled or were killed: workspaces and checkpoints."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from app.domain.jobs import FINISHED, JobState
from app.images.objects import Objects, store_faults
from app.scratch import remove
from app.store.engine import Database

_log = structlog.get_logger()

CHECKPOINTS: Final = "checkpoints"
WORKSPACES: Final = "training"


class TrainingFiles:
    """Workspaces in a local folder and checkpoints in the object store, each named by its job."""

    def __init__(self, database: Database, objects: Objects, data_dir: Path, *, retention: timedelta) -> None:
        """Sweep.

        Args:
            database: Contains the jobs.
            objects: Contains the checkpoints.
            data_dir: The data folder, which contains this machine's workspaces.
            retention: Time for which the files of a failed training are kept for a retry.
        """
        self._database = database
        self._objects = objects
        self._workspaces = data_dir / WORKSPACES
        self._retention = retention

    async def sweep_workspaces(self) -> None:
        """Remove the workspaces on this machine that no job needs.

        Raises:
            Unavailable: The database does not answer, or the folder cannot be read.
        """
        with store_faults():
            found = await asyncio.to_thread(_names, self._workspaces)
            for job_id in await self._unneeded(found):
                await asyncio.to_thread(remove, self._workspaces / job_id)
                _log.info("training_files_swept", job=job_id, kind="workspace")

    async def sweep_checkpoints(self) -> None:
        """Remove the checkpoints that no job needs.

        Raises:
            Unavailable: The database or the object store does not answer.
        """
        keys = await self._objects.list(CHECKPOINTS)
        for job_id in await self._unneeded(key.rpartition("/")[2] for key in keys):
            await self._objects.delete(f"{CHECKPOINTS}/{job_id}")
            _log.info("training_files_swept", job=job_id, kind="checkpoint")

    async def _unneeded(self, job_ids: Iterable[str]) -> list[str]:
        """Return those of the jobs that are pruned, have succeeded, or ended too long ago to be retried."""
        unneeded = []
        for job_id in job_ids:
            async with self._database.read() as unit:
                job = await unit.jobs.get(job_id)
            if job is None or (
                job.state in FINISHED
                and (job.state is JobState.SUCCEEDED or job.updated_at < datetime.now(UTC) - self._retention)
            ):
                unneeded.append(job_id)
        return unneeded


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
