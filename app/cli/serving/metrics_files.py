"""Let several processes keep their metrics in files, so that each serving process can answer for all."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from app.scratch import temporary_folder

METRICS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable that names the folder of the files; the metrics library reads it when it is imported."""


def metrics_folder() -> AbstractContextManager[Path]:
    """Make a temporary folder for the metrics of several processes, removed at the end."""
    return temporary_folder("metrics")


def forget_process(pid: int, environment: Mapping[str, str]) -> None:
    """Take the gauges of a dead process out of the sums; its counters stay.

    Args:
        pid: Its process id.
        environment: Its environment variables.
    """
    if METRICS_DIR in environment:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, environment[METRICS_DIR])  # type: ignore[no-untyped-call]
