"""Check memory and clock."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.cli.operations.checks.finding import Finding
from app.cli.terminal.output import shown_bytes

LOW_MEMORY_BYTES: Final = 500_000_000


def check_memory() -> Iterator[Finding]:
    """Check the free memory of the machine or the container."""
    from app.services.operations.capacity import free_memory_bytes

    free = free_memory_bytes()
    if free is None:
        return
    detail = f"{shown_bytes(free)} free"
    if free < LOW_MEMORY_BYTES:
        yield Finding(
            "memory", "warning", detail, "stop other programs, or raise the memory limit of the container"
        )
    else:
        yield Finding("memory", "ok", detail)


def check_clock() -> Iterator[Finding]:
    """Check that the clock is not before the time at which Lookalike was installed."""
    installed = max(path.stat().st_mtime for path in Path(__file__).parents[3].glob("*.py"))
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now)) + " UTC"
    if now < installed - 86_400:
        yield Finding(
            "clock",
            "error",
            f"{shown} is before the time at which Lookalike was installed",
            "set the clock, for example by NTP",
        )
    else:
        yield Finding("clock", "ok", shown)
