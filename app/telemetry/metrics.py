"""All Prometheus metrics of the service.

With several serving processes the library keeps the values in files, and each process answers for all: counters
add up, and each gauge says how the values of living processes are joined.
"""

import os
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_ARE_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR" in os.environ

_MS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS: Final = Counter("lookalike_requests_total", "HTTP requests answered.", ("method", "route", "status"))
REQUEST_SECONDS: Final = Histogram(
    "lookalike_request_seconds", "Time to answer a request.", ("method", "route"), buckets=_MS
)
STAGE_SECONDS: Final = Histogram(
    "lookalike_stage_seconds", "Time a query spends in decode, encode and scan.", ("stage",), buckets=_MS
)
REQUESTS_IN_FLIGHT: Final = Gauge(
    "lookalike_requests_in_flight", "Uploads and searches being answered.", multiprocess_mode="livesum"
)
REQUESTS_TURNED_AWAY: Final = Counter(
    "lookalike_requests_turned_away_total", "Requests answered 503 because too many were waiting."
)
REQUESTS_LIMITED: Final = Counter(
    "lookalike_requests_limited_total", "Requests answered 429, by the limit of their caller.", ("limit",)
)
CONNECTIONS: Final = Gauge("lookalike_connections", "Open connections.", multiprocess_mode="livesum")
CONNECTIONS_CUT: Final = Counter(
    "lookalike_connections_cut_total", "Connections cut off or refused, by reason.", ("reason",)
)
PICTURES_REFUSED: Final = Counter(
    "lookalike_pictures_refused_total", "Pictures refused, by error code.", ("code",)
)
PICTURES: Final = Gauge(
    "lookalike_pictures", "Pictures searched, by collection.", ("collection",), multiprocess_mode="livemax"
)
INDEX_VERSION: Final = Gauge(
    "lookalike_index_version", "Change number of the index.", multiprocess_mode="livemin"
)
INDEX_BYTES: Final = Gauge(
    "lookalike_index_bytes",
    "Memory of the index, by collection; processes share it.",
    ("collection",),
    multiprocess_mode="livemax",
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


def forget_collection(name: str) -> None:
    """End the series of a collection that is no longer served."""
    for gauge in (PICTURES, INDEX_BYTES):
        if _ARE_SHARED:
            # A file cannot lose a series.
            gauge.labels(name).set(0)
        else:
            gauge.remove(name)


def metrics_text() -> bytes:
    """Return every metric in the Prometheus text format, summed over the serving processes."""
    if not _ARE_SHARED:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
