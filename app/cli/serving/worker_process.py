"""Run a worker process next to the service: restart it when it dies, and stop it with the service."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import structlog

from app.cli.serving.metrics_files import forget_process

_log = structlog.get_logger()

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 30.0
STEADY_S: Final = 60.0
"""A worker that ran for this many seconds is restarted without a growing delay."""


class WorkerProcess:
    """Keeps one ``lookalike worker`` alive.

    The worker reads a pipe that this process holds open and never writes to. When this process ends, even by
    SIGKILL, the pipe ends, and so does the worker.
    """

    def __init__(self, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        """Prepare; the worker runs after ``start``.

        Args:
            environment: Environment variables of the worker, besides those of this process.
        """
        self._environment = environment
        self._stopping = threading.Event()
        self._replacing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, name="worker keeper", daemon=True)

    def start(self) -> None:
        """Start the worker and keep it alive."""
        self._keeper.start()

    def replace(self) -> None:
        """Let the worker finish its batch and end, and start another, as after an upgrade."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._replacing.set()
                self._process.terminate()

    def stop(self, grace_s: float = 20.0) -> None:
        """Stop the worker after its batch; kill it if that takes longer than ``grace_s`` seconds."""
        self._stopping.set()
        with self._lock:
            process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(grace_s)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._keeper.is_alive():
            self._keeper.join(grace_s)

    def _keep(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            with self._lock:
                if self._stopping.is_set():
                    return
                process = self._process = self._try_to_start(wait_s)
            if process is None:
                if self._stopping.wait(wait_s):
                    return
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                continue
            try:
                process.wait(STEADY_S)
            except subprocess.TimeoutExpired:
                wait_s = FIRST_WAIT_S
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
            forget_process(process.pid, self._environment)
            if self._stopping.is_set():
                return
            if self._replacing.is_set():
                self._replacing.clear()
                wait_s = FIRST_WAIT_S
                _log.info("worker_replaced")
                continue
            _log.warning("worker_died", status=process.returncode, restart_in_s=wait_s)
            if self._stopping.wait(wait_s):
                return
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _try_to_start(self, wait_s: float) -> subprocess.Popen[bytes] | None:
        try:
            return _start({**os.environ, **self._environment})
        except OSError as error:  # no memory, no process or no file descriptor left: that may pass
            _log.warning("worker_not_started", detail=str(error), restart_in_s=wait_s)
            return None


def _start(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # -P: do not import a package `app` from the current folder.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "app.cli.main", "worker", "--until-stdin-ends"],
        env=environment,
        stdin=subprocess.PIPE,
        # Standard output is reserved for the service's ready line.
        stdout=subprocess.DEVNULL,
        # Its own process group, because Ctrl-C is for the service alone. But the same session: Linux divides
        # processors between sessions first, so a worker in another session would take half, however nice.
        process_group=0,
    )
