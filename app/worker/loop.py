"""The life of a worker process: it makes itself known, does jobs until told to stop, and tidies up beside."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from datetime import timedelta

import structlog

from app.bootstrap import Services
from app.domain.errors import LookalikeError
from app.domain.jobs import JobKind
from app.jobs.runner import Runner
from app.services.job_control.heartbeats import Presence
from app.services.job_control.tidying import JobTidying
from app.services.model_life.training_needs import missing_packages, others_can_train
from app.store.records import Lease
from app.store.unit_of_work import WriteUnit
from app.worker.handlers import FACTORIES, Factory, make_handlers

_log = structlog.get_logger()


async def work(
    services: Services, stop: asyncio.Event, *, factories: Mapping[JobKind, Factory] = FACTORIES
) -> None:
    """Do jobs until ``stop`` is set; the batch in hand is ended, and its part given back.

    Args:
        services: What the handlers work with.
        stop: Set it to end.
        factories: Which kinds of jobs to do, and how.
    """
    settings = services.settings
    handlers = make_handlers(services, factories)
    lacks = missing_packages()

    async def claimable(unit: WriteUnit) -> list[JobKind]:
        leaves_training = bool(lacks) and await others_can_train(unit)
        return [kind for kind in handlers if kind is not JobKind.TRAIN or not leaves_training]

    runner = Runner(
        services.database,
        handlers,
        kinds=claimable,
        owner=_owner(),
        lease_s=settings.job_lease_s,
        poll_s=settings.job_poll_s,
        batch_deadline_s=settings.job_batch_deadline_s,
        after_part=lambda lease: _after_part(services, lease),
    )
    tidying = JobTidying(
        services.database,
        retention=timedelta(days=settings.job_retention_days),
        sweeps=(services.imports.sweep, services.backups.sweep),
    )
    async with Presence(services.database, "worker", training_lacks=lacks) as presence:
        _log.info("worker_ready", process=presence.id, kinds=sorted(handlers), training_lacks=lacks)
        beside = [asyncio.create_task(tidying.run()), asyncio.create_task(_stop_when_set(stop, runner))]
        try:
            await runner.run()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
    _log.info("worker_stopped")


async def _after_part(services: Services, lease: Lease) -> None:
    """An import that is over gives its upload back at once; what this misses, the tidying finds."""
    if lease.kind is JobKind.INDEX:
        with contextlib.suppress(LookalikeError):
            await services.imports.forget_if_over(lease.job_id)


async def _stop_when_set(stop: asyncio.Event, runner: Runner) -> None:
    await stop.wait()
    runner.stop()


def _owner() -> str:
    return f"{socket.gethostname()[:48]}:{os.getpid()}"
