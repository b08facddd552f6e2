"""``lookalike worker``: run jobs."""

import os
import signal
import tempfile
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.serving.heap import use_one_heap
from app.cli.serving.parent import when_stdin_ends
from app.cli.serving.uncollected_imports import uncollected_imports
from app.cli.terminal.settings import log_database, read_settings

if TYPE_CHECKING:
    from app.bootstrap.shared import MakeEncoder
    from app.settings import Settings


def worker(
    *,
    until_stdin_ends: Annotated[
        bool, typer.Option("--until-stdin-ends", help="Stop when standard input ends.", hidden=True)
    ] = False,
) -> None:
    """Run jobs with the settings of the service; start as many workers as you like."""
    import asyncio

    use_one_heap()
    from app.telemetry.logging import configure_logging

    settings = read_settings()
    configure_logging(settings.telemetry.log_format, settings.telemetry.log_level)
    log_database(settings)
    os.nice(settings.jobs.worker_nice)
    asyncio.run(run_worker(settings, until_stdin_ends=until_stdin_ends))


async def run_worker(
    settings: "Settings", *, until_stdin_ends: bool = False, make_encoder: "MakeEncoder | None" = None
) -> None:
    """Run jobs until a signal or the end of standard input; ``make_encoder`` replaces ONNX Runtime."""
    import asyncio

    with uncollected_imports():
        from app.bootstrap import open_worker
        from app.scratch import scratch_folder
        from app.worker.loop import work

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_ends:
        when_stdin_ends(lambda: loop.call_soon_threadsafe(stop.set))
    async with open_worker(settings, make_encoder=make_encoder) as services:
        with scratch_folder(settings.storage.data_dir / "uploads") as folder:
            # So that what training leaves in temporary folders when the worker is killed is swept.
            tempfile.tempdir = str(folder)
            try:
                await work(services, stop)
            finally:
                tempfile.tempdir = None
