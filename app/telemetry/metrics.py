"""All Prometheus metrics of the service."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_MS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS: Final = Counter("lookalike_requests_total", "HTTP requests answered.", ("method", "route", "status"))
REQUEST_SECONDS: Final = Histogram(
    "lookalike_request_seconds", "Time to answer a request.", ("method", "route"), buckets=_MS
)
STAGE_SECONDS: Final = Histogram(
    "lookalike_stage_seconds", "Time a query spends in decode, encode and scan.", ("stage",), buckets=_MS
)
REQUESTS_IN_FLIGHT: Final = Gauge("lookalike_requests_in_flight", "Uploads and searches being answered.")
REQUESTS_TURNED_AWAY: Final = Counter(
    "lookalike_requests_turned_away_total", "Requests answered 503 because too many were waiting."
)
REQUESTS_LIMITED: Final = Counter(
    "lookalike_requests_limited_total", "Requests answered 429, by the limit of their caller.", ("limit",)
)
CONNECTIONS: Final = Gauge("lookalike_connections", "Open connections.")
CONNECTIONS_CUT: Final = Counter(
    "lookalike_connections_cut_total", "Connections cut off or refused, by reason.", ("reason",)
)
PICTURES_REFUSED: Final = Counter(
    "lookalike_pictures_refused_total", "Pictures refused, by error code.", ("code",)
)
PICTURES: Final = Gauge("lookalike_pictures", "Pictures searched, by collection.", ("collection",))
INDEX_VERSION: Final = Gauge("lookalike_index_version", "Change number of the index.")
INDEX_BYTES: Final = Gauge("lookalike_index_bytes", "Memory of the index, by collection.", ("collection",))
BACKGROUND_FAILURES: Final = Counter(
    "lookalike_background_failures_total", "Failures of background tasks, by task.", ("task",)
)
BACKGROUND_TASKS_FAILING: Final = Gauge(
    "lookalike_background_tasks_failing", "Background tasks whose last attempt failed, by task.", ("task",)
)
