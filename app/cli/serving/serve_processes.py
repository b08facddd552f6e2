"""``lookalike serve --processes N``: several serving processes on one address, kept alive by this one.

Every process has a listening socket of its own on the common port (SO_REUSEPORT), and the kernel spreads new
connections over them. This process holds the sockets, so that none is lost with a process: connections wait in
the socket until the process is replaced. See decision record 48.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
import typer

from app.cli.serving.metrics_files import forget_process
from app.cli.serving.ports import bind_listeners
from app.cli.serving.worker_process import WorkerProcess

_log = structlog.get_logger()

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 30.0
STEADY_S: Final = 60.0
"""A process that lived for this long is restarted at once when it dies."""
READY_S: Final = 600.0
"""Seconds that a replacement may take to load its indexes before it is given up."""
STOP_S: Final = 40.0
"""Seconds that a process may take to finish its requests; it gives itself less."""


AGAIN: Final = ("--load-first",)
"""Arguments of a process that replaces another one: connections wait in the socket until it can answer."""


class _Process:
    """One serving process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.started = time.monotonic()
        self.ready = asyncio.ensure_future(self._ready_line())
        """Its ready line; empty if it ended before."""

    async def _ready_line(self) -> str:
        output = self.process.stdout
        return "" if output is None else (await output.readline()).decode().strip()

    async def stop(self) -> None:
        """Let it finish its requests, and kill it if that takes too long."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


class ServingProcesses:
    """Starts the processes, restarts those that die, and replaces them one at a time on SIGHUP.

    Each process reads a pipe that this one holds open and never writes to. When this process ends, even by
    SIGKILL, the pipe ends, and so does the process that reads it.
    """

    def __init__(
        self, sockets: Sequence[socket.socket], arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Prepare one process for each socket.

        Args:
            sockets: Bound sockets.
            arguments: Arguments of ``lookalike serve`` for every process.
            environment: Environment variables of every process.
        """
        self._sockets = sockets
        self._arguments = arguments
        self._environment = environment
        self._running: dict[int, _Process] = {}
        self._changing = [asyncio.Lock() for _ in sockets]
        self._stopping = asyncio.Event()

    async def run(
        self,
        first_arguments: Sequence[str],
        worker: WorkerProcess | None,
        on_ready: Callable[[socket.socket], None],
    ) -> int:
        """Serve until a signal comes, and return the exit status.

        Args:
            first_arguments: More arguments of the first process when it starts for the first time.
            worker: A worker to keep beside the processes.
            on_ready: Called with a listening socket once every process is ready.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        reload = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, reload.set)
        tasks: list[asyncio.Task[None]] = []
        try:
            # The first one migrates the database and writes the snapshots whose pages the others share.
            lines = [await self._start_first(0, first_arguments)]
            if lines[0]:
                others = range(1, len(self._sockets))
                lines += await asyncio.gather(*(self._start_first(slot, ()) for slot in others))
            if self._stopping.is_set():
                return 0
            if not all(lines):
                return 1
            on_ready(self._sockets[0])
            typer.echo(f"{lines[0]} · {len(lines)} processes")
            sys.stdout.flush()
            if worker is not None:
                worker.start()
            tasks = [asyncio.create_task(self._keep(slot)) for slot in self._running]
            tasks.append(asyncio.create_task(self._replace_when(reload, worker)))
            await self._stopping.wait()
            return 0
        finally:
            self._stopping.set()
            for task in tasks:
                task.cancel()
            if worker is not None:
                await asyncio.to_thread(worker.stop)
            await asyncio.gather(*(process.stop() for process in self._running.values()))

    async def _start_first(self, slot: int, more: Sequence[str]) -> str:
        """Start a process and return its ready line; empty if it ended or was stopped before."""
        process = self._running[slot] = await self._start(slot, more)
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([process.ready, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        return process.ready.result() if process.ready.done() else ""

    async def _start(self, slot: int, more: Sequence[str]) -> _Process:
        listener = self._sockets[slot].fileno()
        # -P: a folder `app` in the current one must not be taken for this package.
        command = [sys.executable, "-P", "-m", "app.cli.main", "serve", "--listen-on", str(listener)]
        process = await asyncio.create_subprocess_exec(
            *command,
            *self._arguments,
            *more,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **self._environment},
            pass_fds=[listener],
            # A group of its own: Ctrl-C is for this process alone.
            process_group=0,
        )
        return _Process(process)

    async def _keep(self, slot: int) -> None:
        """Restart the process of a slot whenever it dies."""
        wait_s = 0.0
        while True:
            process = self._running[slot]
            status = await process.process.wait()
            if self._running[slot] is not process:
                continue  # it was replaced
            self._forget(process)
            lived_s = time.monotonic() - process.started
            wait_s = 0.0 if lived_s > STEADY_S else min(2 * wait_s or FIRST_WAIT_S, LONGEST_WAIT_S)
            _log.warning("server_process_died", pid=process.process.pid, status=status, restart_in_s=wait_s)
            await asyncio.sleep(wait_s)
            async with self._changing[slot]:
                while self._running[slot] is process:
                    try:
                        self._running[slot] = await self._start(slot, AGAIN)
                    except OSError as error:  # no memory, process or descriptor left; this may pass
                        _log.warning(
                            "server_process_not_started", detail=str(error), restart_in_s=LONGEST_WAIT_S
                        )
                        await asyncio.sleep(LONGEST_WAIT_S)

    async def _replace_when(self, reload: asyncio.Event, worker: WorkerProcess | None) -> None:
        while True:
            await reload.wait()
            reload.clear()
            for slot in list(self._running):
                async with self._changing[slot]:
                    await self._replace(slot)
            if worker is not None:
                worker.replace()
            _log.info("server_processes_replaced", count=len(self._running))

    async def _replace(self, slot: int) -> None:
        """Start a new process on a slot's socket; when it is ready, let the old one finish."""
        try:
            fresh = await self._start(slot, AGAIN)
        except OSError as error:
            _log.error("server_process_not_replaced", detail=str(error))
            return
        try:
            line = await asyncio.wait_for(asyncio.shield(fresh.ready), READY_S)
        except TimeoutError:
            line = ""
        except asyncio.CancelledError:
            await fresh.stop()
            raise
        if not line:
            _log.error(
                "server_process_not_replaced", detail="the new process did not become ready; see its log"
            )
            await fresh.stop()
            return
        old, self._running[slot] = self._running[slot], fresh
        await old.stop()
        self._forget(old)

    def _forget(self, process: _Process) -> None:
        forget_process(process.process.pid, self._environment)


def run_processes(
    host: str,
    port: int,
    count: int,
    arguments: Sequence[str],
    first_arguments: Sequence[str],
    environment: Mapping[str, str],
    worker: WorkerProcess | None,
    on_ready: Callable[[socket.socket], None],
) -> int:
    """Serve with ``count`` processes until a signal comes, and return the exit status.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        count: Number of processes.
        arguments: Arguments of ``lookalike serve`` for every process.
        first_arguments: More arguments of the first process when it starts for the first time.
        environment: Environment variables of every process.
        worker: A worker to keep beside the processes.
        on_ready: Called with a listening socket once every process is ready.

    Raises:
        Misconfigured: The address cannot be bound, or another service listens there.
    """

    async def run() -> int:
        sockets = bind_listeners(host, port, count)
        try:
            processes = ServingProcesses(sockets, arguments, environment)
            return await processes.run(first_arguments, worker, on_ready)
        finally:
            for listener in sockets:
                listener.close()

    return asyncio.run(run())
