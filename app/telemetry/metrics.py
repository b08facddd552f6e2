"""All Prometheus metrics of the service.

With several processes (``serve --processes``, ``serve --worker``) the library keeps the values in files, and
each serving process answers for all: counters and histograms add up, and each gauge states how the values of
live processes are joined. ``ScrapedGauge`` is for values that all processes read from one source, such as the
database: only the process that answers a scrape reports them.
"""

import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_ARE_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR" in os.environ

disable_created_metrics()  # type: ignore[no-untyped-call]
# The library's own collectors report one process of several; ``app.telemetry.process`` reports all.
for _collector in (GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR):
    REGISTRY.unregister(_collector)

_REQUEST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_JOB_S: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
_BATCH: Final = (1, 2, 4, 8, 16, 32, 64)

REQUESTS: Final = Counter(
    "lookalike_http_requests_total", "HTTP requests answered.", ("method", "route", "status")
)
REQUEST_SECONDS: Final = Histogram(
    "lookalike_http_request_duration_seconds",
    "Time to answer a request.",
    ("method", "route"),
    buckets=_REQUEST_S,
)
CONNECTIONS: Final = Gauge("lookalike_http_connections", "Open connections.", multiprocess_mode="livesum")
CONNECTIONS_CLOSED: Final = Counter(
    "lookalike_http_connections_closed_total", "Connections closed or refused by the service.", ("reason",)
)
STAGE_SECONDS: Final = Histogram(
    "lookalike_query_stage_duration_seconds",
    "Time of a query in each of its stages.",
    ("stage",),
    buckets=_REQUEST_S,
)

ADMISSION_IN_FLIGHT: Final = Gauge(
    "lookalike_admission_requests_in_flight",
    "Requests in a lane: their body is arriving, or they are being answered.",
    ("lane",),
    multiprocess_mode="livesum",
)
ADMISSION_USED: Final = Gauge(
    "lookalike_admission_places_used",
    "Places of a lane that are taken by requests whose body is complete.",
    ("lane",),
    multiprocess_mode="livesum",
)
ADMISSION_PLACES: Final = Gauge(
    "lookalike_admission_places", "Places of a lane.", ("lane",), multiprocess_mode="livesum"
)
ADMISSION_REJECTED: Final = Counter(
    "lookalike_admission_rejected_total", "Requests refused by a lane.", ("lane", "reason")
)
RATE_LIMITED: Final = Counter(
    "lookalike_rate_limit_rejected_total", "Requests refused by a limit on their caller's minute.", ("limit",)
)
RATE_STORE_ERRORS: Final = Counter(
    "lookalike_rate_limit_store_errors_total", "Failed calls to the store of the rate limits."
)

PICTURES_REFUSED: Final = Counter(
    "lookalike_pictures_refused_total", "Pictures refused, by error code.", ("code",)
)
DECODE_CHILDREN: Final = Gauge(
    "lookalike_decode_children", "Decoding child processes that run.", multiprocess_mode="livesum"
)
DECODE_CHILDREN_LIMIT: Final = Gauge(
    "lookalike_decode_children_limit", "Most decoding child processes.", multiprocess_mode="livesum"
)
DECODE_CHILD_STARTS: Final = Counter("lookalike_decode_child_starts_total", "Decoding child processes started.")
DECODE_CHILD_ENDS: Final = Counter(
    "lookalike_decode_child_ends_total", "Decoding child processes that ended before the service.", ("reason",)
)
DECODE_WAITING: Final = Gauge(
    "lookalike_decode_queue_requests",
    "Pictures, or batches of pictures to add, that wait for a decoding child.",
    ("purpose",),
    multiprocess_mode="livesum",
)
ENCODER_WAITING: Final = Gauge(
    "lookalike_encoder_queue_pictures",
    "Pictures that wait for the encoder.",
    ("purpose",),
    multiprocess_mode="livesum",
)
ENCODER_BATCH: Final = Histogram(
    "lookalike_encoder_batch_pictures", "Pictures in one run of the encoder.", buckets=_BATCH
)
ENCODER_SECONDS: Final = Histogram(
    "lookalike_encoder_batch_duration_seconds", "Time of one run of the encoder.", buckets=_REQUEST_S
)

INDEX_VERSION: Final = Gauge(
    "lookalike_index_version", "Change number of the indexes.", multiprocess_mode="livemin"
)
INDEX_SYNCED: Final = Gauge(
    "lookalike_index_last_sync_timestamp_seconds",
    "Time of the last successful comparison of the indexes with the database.",
    multiprocess_mode="livemin",
)
DATABASE_ERRORS: Final = Counter(
    "lookalike_database_errors_total", "Failures of the database that were reported to callers.", ("kind",)
)
STORE_ERRORS: Final = Counter("lookalike_store_errors_total", "Failures of the picture store.", ("kind",))

PARTS_ENDED: Final = Counter(
    "lookalike_job_parts_ended_total",
    "Parts of jobs that a worker of this service has ended, by outcome.",
    ("kind", "outcome"),
)
PART_SECONDS: Final = Histogram(
    "lookalike_job_part_duration_seconds",
    "Time that a worker of this service had a part of a job.",
    ("kind",),
    buckets=_JOB_S,
)

BACKGROUND_FAILURES: Final = Counter(
    "lookalike_background_failures_total", "Failures of background tasks, by task.", ("task",)
)
BACKGROUND_TASKS_FAILING: Final = Gauge(
    "lookalike_background_tasks_failing",
    "Background tasks whose last attempt failed, by task.",
    ("task",),
    multiprocess_mode="livesum",
)
BUILD_INFO: Final = Gauge(
    "lookalike_build_info",
    "Version of the service and of Python, and the instruction set of the search kernels; always 1.",
    ("version", "python", "kernels"),
    multiprocess_mode="livemax",
)

if _ARE_SHARED:
    # A worker has no indexes: its gauges must not be the least of all processes.
    for _gauge in (INDEX_VERSION, INDEX_SYNCED):
        _gauge.set(math.inf)

Values = Mapping[tuple[str, ...], float]
"""Values of a gauge by their label values."""


class ScrapedGauge:
    """A gauge whose values are read when it is scraped, by the process that answers."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        """Describe the gauge."""
        self.name: Final = name
        self._documentation = documentation
        self.labels: Final = tuple(labels)
        SCRAPED.append(self)

    def family(self, values: Values | float) -> GaugeMetricFamily:
        """Return the gauge with values; a number is the value of a gauge without labels."""
        family = GaugeMetricFamily(self.name, self._documentation, labels=self.labels)
        for labels, value in values.items() if isinstance(values, Mapping) else [((), values)]:
            family.add_metric(labels, value)
        return family


SCRAPED: Final[list[ScrapedGauge]] = []
"""Every ``ScrapedGauge``."""

READY: Final = ScrapedGauge("lookalike_ready", "Whether the process that was scraped is ready, as in /readyz.")
DATABASE_UP: Final = ScrapedGauge("lookalike_database_up", "Whether the database answered this scrape.")
JOBS: Final = ScrapedGauge("lookalike_jobs", "Jobs that are listed, by kind and state.", ("kind", "state"))
JOB_PARTS: Final = ScrapedGauge(
    "lookalike_job_parts", "Unfinished parts of jobs: waiting for a worker, or with one.", ("kind", "state")
)
OLDEST_WAITING: Final = ScrapedGauge(
    "lookalike_job_oldest_queued_timestamp_seconds",
    "Creation time of the oldest job that no worker has started.",
    ("kind",),
)
LAST_SUCCESS: Final = ScrapedGauge(
    "lookalike_job_last_success_timestamp_seconds", "End of the last successful job.", ("kind",)
)
LAST_FAILURE: Final = ScrapedGauge(
    "lookalike_job_last_failure_timestamp_seconds", "End of the last job that failed.", ("kind",)
)
LAST_DURATION: Final = ScrapedGauge(
    "lookalike_job_last_success_duration_seconds", "Time of the last successful job, from its start.", ("kind",)
)
PROCESSES: Final = ScrapedGauge(
    "lookalike_processes", "Processes of the database with a heartbeat in the last minute.", ("kind",)
)
LAST_HEARTBEAT: Final = ScrapedGauge(
    "lookalike_last_heartbeat_timestamp_seconds", "Newest heartbeat of a kind of process.", ("kind",)
)
INDEX_LAG: Final = ScrapedGauge(
    "lookalike_index_lag_changes", "Changes that the slowest serving process has not read."
)
BACKUPS: Final = ScrapedGauge("lookalike_backups", "Backups that are listed.")
LAST_BACKUP: Final = ScrapedGauge("lookalike_last_backup_timestamp_seconds", "Time of the newest backup.")
DISK_FREE: Final = ScrapedGauge("lookalike_disk_free_bytes", "Free space of the disk of the data folder.")
DISK_SIZE: Final = ScrapedGauge("lookalike_disk_size_bytes", "Size of the disk of the data folder.")


def metrics_text(scraped: Iterable[Metric] = ()) -> bytes:
    """Return every metric in the Prometheus text format, joined over the processes.

    Args:
        scraped: Families of ``ScrapedGauge``.
    """
    registry = CollectorRegistry()
    registry.register(_Families(list(scraped)))
    if not _ARE_SHARED:
        return generate_latest(REGISTRY) + generate_latest(registry)
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


class _Families(Collector):
    """Reports finished families."""

    def __init__(self, families: Collection[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families
