"""Processor time, memory and descriptors of this process, under the names that Prometheus' clients use.

The library's own collector does not work with several processes, whose values must be joined.
"""

import os
import time
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge

UPDATE_S: Final = 5.0
"""Seconds between two updates for the scrapes that other processes answer."""

CPU_SECONDS: Final = Counter(
    "process_cpu_seconds_total", "Processor time of the processes, without decoding children."
)
RESIDENT_BYTES: Final = Gauge(
    "process_resident_memory_bytes",
    "Resident memory; pages that processes share count in each.",
    multiprocess_mode="livesum",
)
OPEN_FDS: Final = Gauge("process_open_fds", "Open file descriptors.", multiprocess_mode="livesum")
MAX_FDS: Final = Gauge(
    "process_max_fds", "Most file descriptors that one process may open.", multiprocess_mode="livemax"
)
START_TIME: Final = Gauge(
    "process_start_time_seconds", "Start of the process that was started last.", multiprocess_mode="livemax"
)

_SELF: Final = Path("/proc/self")


class ProcessMetrics:
    """Updates the metrics of this process."""

    def __init__(self) -> None:
        """Count processor time from the start of the process."""
        self._counted_s = 0.0
        START_TIME.set(_start_time())

    async def update(self) -> None:
        """Read the values from the system; those that it does not report stay 0."""
        used_s = time.process_time()
        CPU_SECONDS.inc(used_s - self._counted_s)
        self._counted_s = used_s
        RESIDENT_BYTES.set(resident_bytes())
        descriptors = _SELF / "fd"
        if descriptors.is_dir():
            import resource  # noqa: PLC0415 - not on every system

            OPEN_FDS.set(len(os.listdir(descriptors)))  # noqa: PTH208 - no path for each entry
            MAX_FDS.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes; 0 if the system does not report it."""
    statm = _SELF / "statm"
    if not statm.exists():
        return 0
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _start_time() -> float:
    """Return when this process started, in seconds since the epoch."""
    stat, uptime = _SELF / "stat", Path("/proc/uptime")
    if not (stat.exists() and uptime.exists()):
        return time.time()
    # The fields after the name, which may contain anything; the 22nd field of all is the start.
    ticks = int(stat.read_text().rpartition(")")[2].split()[19])
    booted = time.time() - float(uptime.read_text().split()[0])
    return booted + ticks / os.sysconf("SC_CLK_TCK")
