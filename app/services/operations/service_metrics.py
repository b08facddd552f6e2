"""Read the metrics that all processes have in common, when a process is scraped."""

import asyncio
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from prometheus_client.metrics_core import Metric

from app.domain.errors import LookalikeError
from app.domain.jobs import JobState, PartState
from app.domain.processes import ProcessRecord
from app.index.instruction_set import instruction_set
from app.services.job_control.heartbeats import SILENT_S
from app.store.engine import Database
from app.store.jobs.job_statistics import JobStatistics
from app.telemetry import metrics
from app.telemetry.collection_gauges import CollectionValues, collection_families
from app.telemetry.process import ProcessMetrics

_log = structlog.get_logger()

TIMEOUT_S: Final = 3.0
"""Time limit for the database's part of a scrape, in seconds; Prometheus gives up after ten."""


class ServiceMetrics:
    """Reads jobs, processes, backups and the disk for one scrape."""

    def __init__(
        self,
        database: Database,
        data_dir: Path,
        *,
        version: str,
        index_version: Callable[[], int],
        collections: Callable[[], Mapping[str, CollectionValues]],
        not_ready_reason: Callable[[], str | None],
    ) -> None:
        """Describe the build, and read from ``database`` and the disk of ``data_dir`` at each scrape.

        Args:
            database: The database.
            data_dir: The data folder.
            version: Version of the service.
            index_version: Returns the change number of this process's indexes.
            collections: Returns the gauges of this process's collections by name.
            not_ready_reason: Returns why this process is not ready, or None.
        """
        self._database = database
        self._data_dir = data_dir
        self._index_version = index_version
        self._collections = collections
        self._not_ready_reason = not_ready_reason
        self.process: Final = ProcessMetrics()
        metrics.BUILD_INFO.labels(version, platform.python_version(), instruction_set()).set(1)

    async def text(self) -> bytes:
        """Return every metric in the Prometheus text format, also while the database does not answer."""
        await self.process.update()
        families: list[Metric] = [
            metrics.READY.family(self._not_ready_reason() is None),
            *collection_families(self._collections()),
        ]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                families += await self._from_database()
        except (LookalikeError, TimeoutError) as error:
            detail = error.detail if isinstance(error, LookalikeError) else f"no answer within {TIMEOUT_S} s"
            _log.warning("metrics_incomplete", detail=detail)
            families.append(metrics.DATABASE_UP.family(0))
        families += await asyncio.to_thread(self._of_disk)
        return metrics.metrics_text(families)

    async def _from_database(self) -> list[Metric]:
        async with self._database.read() as unit:
            jobs = await unit.job_statistics.read()
            backups, newest = await unit.backups.count_and_newest()
            processes = await unit.processes.live(SILENT_S)
            latest = await unit.feed.latest()
        reached = [one.reached_change for one in processes if one.reached_change is not None]
        lag = max(0, latest - min(reached, default=self._index_version()))
        families: list[Metric] = [
            metrics.DATABASE_UP.family(1),
            metrics.INDEX_LAG.family(lag),
            metrics.BACKUPS.family(backups),
            *_of_jobs(jobs),
            *_of_processes(processes),
        ]
        if newest is not None:
            families.append(metrics.LAST_BACKUP.family(newest.timestamp()))
        return families

    def _of_disk(self) -> list[Metric]:
        try:
            disk = shutil.disk_usage(self._data_dir)
        except OSError:  # the folder is gone, which readiness reports
            return []
        return [metrics.DISK_FREE.family(disk.free), metrics.DISK_SIZE.family(disk.total)]


def _of_jobs(jobs: JobStatistics) -> list[Metric]:
    # Queues are reported at zero, too: an alert needs the series.
    kinds = {kind for kind, _ in jobs.jobs}
    counts = {(kind, state): 0 for kind in kinds for state in JobState} | dict(jobs.jobs)
    waiting = {(kind, state): 0 for kind in kinds for state in (PartState.QUEUED, PartState.RUNNING)}
    return [
        metrics.JOBS.family({(kind, state): count for (kind, state), count in counts.items()}),
        metrics.JOB_PARTS.family(
            {(kind, state): count for (kind, state), count in (waiting | dict(jobs.parts)).items()}
        ),
        metrics.OLDEST_WAITING.family({(kind,): at.timestamp() for kind, at in jobs.oldest_queued.items()}),
        metrics.LAST_SUCCESS.family(
            {(kind,): job.ended_at.timestamp() for kind, job in jobs.last_succeeded.items()}
        ),
        metrics.LAST_FAILURE.family(
            {(kind,): job.ended_at.timestamp() for kind, job in jobs.last_failed.items()}
        ),
        metrics.LAST_DURATION.family(
            {(kind,): job.duration_s for kind, job in jobs.last_succeeded.items() if job.duration_s is not None}
        ),
    ]


def _of_processes(processes: Sequence[ProcessRecord]) -> list[Metric]:
    counts: dict[tuple[str, ...], int] = {("api",): 0, ("worker",): 0}
    newest: dict[tuple[str, ...], datetime] = {}
    for process in processes:
        kind = (process.kind,)
        counts[kind] = counts.get(kind, 0) + 1
        newest[kind] = max(newest.get(kind, process.heartbeat_at), process.heartbeat_at)
    return [
        metrics.PROCESSES.family(counts),
        metrics.LAST_HEARTBEAT.family({kind: at.timestamp() for kind, at in newest.items()}),
    ]
