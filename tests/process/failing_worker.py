"""A worker that freezes itself at a chosen moment, for tests: ``python -m tests.process.failing_worker WHERE``.

``outside``: while it makes its third batch ready, no transaction open. ``inside``: in the transaction of its
third batch, its rows written and nothing committed.
"""

import asyncio
import itertools
import os
import signal
import sys

from app.bootstrap import open_worker
from app.settings import Settings
from app.telemetry.logging import configure_logging
from app.worker.handlers import import_images
from app.worker.loop import work
from tests.process.small_batches import use_small_batches

FREEZE_AT = 2


def freezing(function, *, after: bool):
    """The function, which freezes this process in its third call."""
    calls = itertools.count()

    async def run(*arguments):
        is_due = next(calls) == FREEZE_AT
        if is_due and not after:
            os.kill(os.getpid(), signal.SIGSTOP)
        result = await function(*arguments)
        if is_due and after:
            os.kill(os.getpid(), signal.SIGSTOP)
        return result

    return run


async def main(where: str) -> None:
    if where == "outside":
        import_images.prepare_batch = freezing(import_images.prepare_batch, after=False)
    else:
        import_images.write_prepared = freezing(import_images.write_prepared, after=True)
    if not os.environ.get("LOOKALIKE_SOAK"):
        use_small_batches()
    settings = Settings()
    configure_logging("json", "info")
    async with open_worker(settings) as services:
        await work(services, asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
