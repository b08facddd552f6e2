"""Let several processes keep their metrics in files, so that each serving process can answer for all."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from app.images.leftovers import scratch_folder, sweep_scratch

METRICS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable that names the folder of the files; the metrics library reads it when it is imported."""
_PREFIX: Final = "lookalike-metrics-"


@contextmanager
def metrics_folder() -> Iterator[str]:
    """Make a temporary folder for the metrics of several processes, and remove those of killed services."""
    parent = Path(tempfile.gettempdir())
    with suppress(OSError):  # another user's
        sweep_scratch(parent, prefix=_PREFIX)
    with scratch_folder(parent, prefix=_PREFIX) as folder:
        yield str(folder)


def forget_process(pid: int, environment: Mapping[str, str]) -> None:
    """Take the gauges of a dead process out of the sums; its counters stay.

    Args:
        pid: Its process id.
        environment: Its environment variables.
    """
    if METRICS_DIR in environment:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, environment[METRICS_DIR])  # type: ignore[no-untyped-call]
