"""A worker that kills itself right before a chosen step of a job.

``python -m tests.process.dying_worker STEP N``: before its Nth call, counted from 0, of one of ``STEPS``.
"""

import asyncio
import itertools
import os
import signal
import sys

from app.bootstrap import open_worker
from app.images.objects import ObstoreObjects
from app.images.staging import Staging
from app.settings import Settings
from app.store.backups import BackupWriter
from app.store.jobs.leases import LeaseWriter
from app.telemetry.logging import configure_logging
from app.worker.loop import work

STEPS = {
    "put a file": (ObstoreObjects, "put"),
    "get a file": (ObstoreObjects, "get"),
    "delete a file": (ObstoreObjects, "delete"),
    "make it known": (BackupWriter, "add"),
    "clear": (BackupWriter, "clear"),
    "put rows": (BackupWriter, "put_rows"),
    "put orphans": (BackupWriter, "finish"),
    "end the job": (LeaseWriter, "finish"),
    "give the upload back": (Staging, "delete"),
}


def dying(method, at: int):
    """The method, which kills this process right before that call."""
    calls = itertools.count()

    async def run(*arguments, **options):
        if next(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return await method(*arguments, **options)

    return run


async def main(step: str, at: int) -> None:
    kind, name = STEPS[step]
    setattr(kind, name, dying(getattr(kind, name), at))
    settings = Settings()
    configure_logging("json", "info")
    async with open_worker(settings) as services:
        await work(services, asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
