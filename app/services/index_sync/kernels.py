"""Load the search kernels from the cache; on a first start, compile them in a child process."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Final

import structlog

from app.index.warm_up import SEARCH_READY, all_cached, are_kernels_loaded, warm_up, warm_up_search

_log = structlog.get_logger()

_COMPILING: Final = "compiling the search kernels; later starts find them compiled"


class Kernels:
    """The compiled kernels of this process.

    A child process compiles them, because compiling takes seconds and the compiler's memory is never freed.
    Searches can start once the child has cached the scan kernels. The others follow at low priority; a search
    that needs one earlier compiles it in its own thread.
    """

    def __init__(self) -> None:
        """Load nothing before ``ready`` is called."""
        self._lock = asyncio.Lock()
        self._is_ready = False
        self._child: Process | None = None
        self._loading: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Wait until searches need not wait for the compiler."""
        async with self._lock:
            if self._is_ready:
                return
            if are_kernels_loaded() or await asyncio.to_thread(all_cached):
                await asyncio.to_thread(warm_up)
            else:
                _log.info("kernels_compiling", detail=_COMPILING)
                await self._compile()
                await asyncio.to_thread(warm_up_search)
                self._loading = asyncio.create_task(self._load_rest())
            self._is_ready = True

    async def close(self) -> None:
        """Stop the child process."""
        if self._loading is not None:
            self._loading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loading
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
            await self._child.communicate()

    async def _compile(self) -> None:
        """Start the child and wait until the kernels of a scan are cached, or the child has failed."""
        # -P: a folder `app` in the current directory must not be taken for this package.
        command = (sys.executable, "-P", "-m", "app.index.warm_up", "--until-stdin-ends")
        try:
            self._child = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                # In a session of its own: Ctrl-C would end it, and this process would compile instead.
                start_new_session=True,
            )
        except OSError as error:
            _log.warning("kernel_compiler_not_started", detail=str(error))
            return
        assert self._child.stdout is not None  # noqa: S101
        line = await self._child.stdout.readline()
        if line.decode().strip() != SEARCH_READY:
            _log.warning("kernel_compiler_failed", status=await self._child.wait())

    async def _load_rest(self) -> None:
        """Load the other kernels once the child has cached them; without a child, compile them here."""
        if self._child is not None:
            await self._child.wait()
        await asyncio.to_thread(warm_up)
