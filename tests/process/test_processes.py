"""``lookalike serve --processes N``: several processes that look like one service."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

from tests.api.conftest import draw
from tests.fixtures.server import start_server
from tests.process.workers import wait_for

pytestmark = pytest.mark.slow


def serving_pids(server) -> list[int]:
    """The serving processes of a running service; the worker is started by another thread."""
    own = server.process.pid
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    return sorted(int(pid) for pid in children)


def is_running(pid: int) -> bool:
    """Whether a process exists; one whose parent has not noticed its death does not count."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def requests_counted(text: str, route: str) -> float:
    found = re.findall(
        rf'^lookalike_http_requests_total{{.*route="{re.escape(route)}".*}} (\S+)$', text, re.MULTILINE
    )
    return sum(map(float, found))


def metric(http, series: str) -> float | None:
    """The value of a series, named as the text format names it."""
    lines = http.get("/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} ")), None)


class Clients:
    """Threads that send one request after another; half of them keep their connections."""

    def __init__(self, url: str) -> None:
        self.failures: list[str] = []
        self.answers = 0
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i % 2 == 0,)) for i in range(6)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, keeps: bool) -> None:
        with httpx2.Client(base_url=self._url, timeout=60) as kept:
            while not self._stop.wait(0.01):
                try:
                    answer = kept.get("/images") if keeps else httpx2.get(f"{self._url}/images", timeout=60)
                except httpx2.HTTPError as error:
                    self.failures.append(f"{'kept' if keeps else 'new'} {type(error).__name__}: {error}")
                else:
                    self.answers += 1
                    if answer.status_code != 200:
                        self.failures.append(answer.text)


@pytest.fixture(scope="module")
def service(tmp_path_factory, make_data_dir):
    """Two serving processes and a worker, for the tests that leave them running."""
    server = start_server(make_data_dir(tmp_path_factory.mktemp("processes")), "--processes", "2", "--worker")
    yield server
    assert server.stop() == 0
    server.process.stdout.close()


def test_they_look_like_one_service(service):
    assert "2 processes" in service.ready_line
    assert len(serving_pids(service)) == 2
    wait_for(lambda: "worker_ready" in service.log.read_text())

    content = draw(1)
    for i in range(8):
        with service.client() as http:  # a connection of its own, so that some reach each process
            assert http.put(f"/images/p{i}", content=content).status_code == 201
    with service.client() as http:
        wait_for(lambda: len(http.post("/search", files={"file": content}).json()["exact_matches"]) == 8)
    for _ in range(8):
        with service.client() as http:
            counted = requests_counted(http.get("/metrics").text, "/images/{image_id}")
            assert counted == 8
            version = http.get("/info").json()["index_version"]

    with service.client() as http:
        wait_for(lambda: metric(http, "lookalike_index_version") == version)
        wait_for(lambda: metric(http, 'lookalike_processes{kind="worker"}') == 1)
        assert metric(http, 'lookalike_processes{kind="api"}') == 2
        assert metric(http, 'lookalike_index_codes{collection="default"}') == 8
        assert metric(http, 'lookalike_index_coverage_ratio{collection="default"}') == 1
        assert metric(http, 'lookalike_admission_places{lane="search"}') == 2 * 64
        assert metric(http, "lookalike_decode_children_limit") >= 3
        # The worker beside the service answers no scrapes; its metrics are in those of the service.
        http.post("/admin/jobs/backup", json={})
        wait_for(lambda: metric(http, 'lookalike_job_parts_ended_total{kind="backup",outcome="done"}') == 1)
        assert metric(http, 'lookalike_jobs{kind="backup",state="succeeded"}') == 1
        assert metric(http, "lookalike_backups") == 1


def test_one_that_is_killed_is_replaced_and_no_connection_is_refused(service):
    first, second = serving_pids(service)
    with Clients(service.url) as clients:
        wait_for(lambda: clients.answers > 20)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: first not in serving_pids(service) and len(serving_pids(service)) == 2)
        seen = clients.answers
        wait_for(lambda: clients.answers > seen + 50)

    # What the killed process had in hand is lost with it; nothing else is.
    assert all("refused" not in failure.lower() for failure in clients.failures), clients.failures
    assert len(clients.failures) <= 6, clients.failures
    assert second in serving_pids(service)
    wait_for(lambda: "server_process_died" in service.log.read_text())
    with service.client() as http:
        assert http.get("/metrics").status_code == 200


def test_a_reload_replaces_every_process_without_a_failure(service):
    before = serving_pids(service)
    with Clients(service.url) as clients:
        wait_for(lambda: clients.answers > 20)
        service.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "server_processes_replaced" in service.log.read_text())
        seen = clients.answers
        wait_for(lambda: clients.answers > seen + 20)

    assert clients.failures == []
    after = serving_pids(service)
    assert len(after) == 2
    assert not set(before) & set(after)


def test_they_end_with_the_process_that_started_them(start):
    server = start("--processes", "2")
    pids = serving_pids(server)

    server.kill()

    wait_for(lambda: not any(is_running(pid) for pid in pids))
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(server.url)


def test_a_start_that_fails_ends_in_one_line(tmp_path, make_data_dir):
    env = {
        **os.environ,
        "LOOKALIKE_DATA_DIR": str(make_data_dir(tmp_path / "data")),
        "LOOKALIKE_PORT": "0",
        "LOOKALIKE_DEFAULT_MODEL": "none-64",
        "LOOKALIKE_LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", "app.cli.main", "serve", "--processes", "2"]

    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=120)

    assert done.returncode == 1
    assert done.stdout == ""
    line = done.stderr.splitlines()[-1]
    assert line.startswith("lookalike: ")
    assert "none-64" in line
