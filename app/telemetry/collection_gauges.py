"""Gauges of each collection, which the process that answers a scrape reports of its own indexes.

They are read at the scrape, so that a deleted collection has no series: a file that processes share cannot lose
one.
"""

from collections.abc import Mapping
from typing import Final

from prometheus_client.metrics_core import Metric

from app.telemetry.metrics import ScrapedGauge

MAX_COLLECTIONS: Final = 100
"""Number of collections with their own series; the others are summed under ``OTHER``."""

OTHER: Final = "(other)"
"""Label of the collections beyond the bound; no collection can have this name."""

_LABELS: Final = ("collection",)

INDEX_CODES: Final = ScrapedGauge(
    "lookalike_index_codes", "Codes in the index, which are the pictures that are searched.", _LABELS
)
INDEX_BYTES: Final = ScrapedGauge(
    "lookalike_index_bytes", "Memory of the index of one process; processes share mapped pages.", _LABELS
)
COLLECTION_PICTURES: Final = ScrapedGauge(
    "lookalike_collection_pictures", "Pictures stored, also those without a code.", _LABELS
)
INDEX_COVERAGE: Final = ScrapedGauge(
    "lookalike_index_coverage_ratio", "Share of the stored pictures that are searched.", _LABELS
)
SNAPSHOT_SAVED: Final = ScrapedGauge(
    "lookalike_index_snapshot_timestamp_seconds",
    "Time when the snapshot of the index was written, where there is one.",
    _LABELS,
)
SNAPSHOT_LAG: Final = ScrapedGauge(
    "lookalike_index_snapshot_lag_changes",
    "Codes and changes of the index that its snapshot does not contain.",
    _LABELS,
)
_GAUGES: Final = (INDEX_CODES, INDEX_BYTES, COLLECTION_PICTURES, INDEX_COVERAGE, SNAPSHOT_SAVED, SNAPSHOT_LAG)

CollectionValues = Mapping[ScrapedGauge, float]
"""The gauges of one collection."""


def collection_families(values: Mapping[str, CollectionValues]) -> list[Metric]:
    """Return the metrics of collections.

    Args:
        values: The gauges of each collection. Of those beyond the bound, the sum is reported, or the least
            coverage and the oldest snapshot.
    """
    shown = dict(sorted(values.items())[:MAX_COLLECTIONS])
    rest = [gauges for name, gauges in values.items() if name not in shown]
    if rest:
        shown[OTHER] = {
            gauge: (min if gauge in {INDEX_COVERAGE, SNAPSHOT_SAVED} else sum)(
                [gauges[gauge] for gauges in rest if gauge in gauges]
            )
            for gauge in _GAUGES
            if any(gauge in gauges for gauges in rest)
        }
    return [
        gauge.family({(name,): gauges[gauge] for name, gauges in shown.items() if gauge in gauges})
        for gauge in _GAUGES
    ]
