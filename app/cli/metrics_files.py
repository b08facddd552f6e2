"""Let several processes keep their metrics in files, so that each serving process can answer for all."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

METRICS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable that names the folder of the files; the metrics library reads it when it is imported."""


@contextmanager
def metrics_folder() -> Iterator[str]:
    """Make a temporary folder for the metrics of several processes."""
    with tempfile.TemporaryDirectory(prefix="lookalike-metrics-") as folder:
        yield folder


def forget_process(pid: int, environment: Mapping[str, str]) -> None:
    """Take the gauges of a dead process out of the sums; its counters stay.

    Args:
        pid: Its process id.
        environment: Its environment variables.
    """
    if METRICS_DIR in environment:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, environment[METRICS_DIR])  # type: ignore[no-untyped-call]
