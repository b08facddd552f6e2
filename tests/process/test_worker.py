"""The worker beside the service: restarted when it dies, gone when the service goes."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.process.test_kill import children_of

pytestmark = pytest.mark.slow


def workers_of(server) -> list[int]:
    """Pids of the worker processes that the server has started."""
    pids = children_of(server.process.pid)
    return [pid for pid in pids if "--until-stdin-ends" in command_line(pid)]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except FileNotFoundError:
        return ""


def wait_for(claim, within_s: float = 30.0):
    """The first true value of ``claim()``."""
    end = time.monotonic() + within_s
    while not (value := claim()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)
    return value


def log_lines(server, event: str) -> int:
    return server.log.read_text().count(f'"event": "{event}"')


def test_a_worker_that_dies_is_started_again_and_ends_with_the_service(start):
    server = start("--worker")
    [first] = wait_for(lambda: workers_of(server))

    os.kill(first, signal.SIGKILL)
    [second] = wait_for(lambda: [pid for pid in workers_of(server) if pid != first])
    wait_for(lambda: log_lines(server, "worker_ready"))
    server.stop()

    assert second != first
    assert not command_line(second)
    assert log_lines(server, "worker_stopped") == 1


def test_a_killed_service_leaves_no_worker(start):
    server = start("--worker")
    [worker] = wait_for(lambda: workers_of(server))
    wait_for(lambda: log_lines(server, "worker_ready"))

    server.kill()

    wait_for(lambda: not command_line(worker))
