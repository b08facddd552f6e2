"""Run a worker process: register it and run jobs until it is stopped."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping

import structlog

from app.bootstrap import WorkerServices
from app.domain.errors import LookalikeError
from app.domain.jobs import JobKind, Lease
from app.jobs.runner import Runner
from app.services.job_control.heartbeats import Heartbeats
from app.services.model_life.training_needs import any_worker_can_train, missing_packages
from app.store.unit_of_work import WriteUnit
from app.telemetry.process import UPDATE_S, ProcessMetrics
from app.worker.handlers import FACTORIES, Factory, make_handlers

_log = structlog.get_logger()


async def work(
    services: WorkerServices, stop: asyncio.Event, *, factories: Mapping[JobKind, Factory] = FACTORIES
) -> None:
    """Run jobs until ``stop`` is set; then finish the current batch and release its part.

    Args:
        services: Services for the handlers.
        stop: Set to stop.
        factories: Makes the handler of each kind of job.
    """
    settings = services.settings
    handlers = make_handlers(services, factories)
    lacks = missing_packages()

    async def claimable(unit: WriteUnit) -> list[JobKind]:
        leaves_training = bool(lacks) and await any_worker_can_train(unit)
        return [kind for kind in handlers if kind is not JobKind.TRAIN or not leaves_training]

    runner = Runner(
        services.database,
        handlers,
        kinds=claimable,
        owner=_owner(),
        lease_s=settings.jobs.job_lease_s,
        poll_s=settings.jobs.job_poll_s,
        batch_deadline_s=settings.jobs.job_batch_deadline_s,
        after_part=lambda lease: _after_part(services, lease),
    )
    async with Heartbeats(services.database, services.supervisor, "worker", training_lacks=lacks) as heartbeats:
        kinds = sorted(kind.value for kind in handlers)
        _log.info("worker_ready", process=heartbeats.id, kinds=kinds, training_lacks=lacks)
        services.start_retention(heartbeats.id)
        services.supervisor.repeat("process metrics", ProcessMetrics().update, every_s=UPDATE_S)
        running = services.supervisor.run("job runner", runner.run, stop=runner.stop)
        try:
            await stop.wait()
        finally:
            await running.stop()
    _log.info("worker_stopped")


async def _after_part(services: WorkerServices, lease: Lease) -> None:
    """Delete the upload of a finished import at once; a retention chore deletes what this misses."""
    if lease.kind is JobKind.INDEX:
        with contextlib.suppress(LookalikeError):
            await services.imports.delete_staged_if_due(lease.job_id)


def _owner() -> str:
    return f"{socket.gethostname()[:48]}:{os.getpid()}"
