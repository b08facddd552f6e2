"""The worker beside the service: restarted when it dies, gone when the service goes."""

import contextlib
import io
import json
import os
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from lookalike_client import Client, ServiceError
from tests.api.conftest import draw
from tests.fixtures.archives import zip_of as archive_of
from tests.fixtures.server import start_server
from tests.process.test_kill import children_of
from tests.process.workers import QUICK, wait_for

pytestmark = pytest.mark.slow


def workers_of(server) -> list[int]:
    """Pids of the worker processes that the server has started."""
    pids = children_of(server.process.pid)
    return [pid for pid in pids if "--until-stdin-ends" in command_line(pid)]


def workers_in(data_dir: Path) -> list[int]:
    """Pids of all living workers on a data folder, whoever started them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (process / "environ").read_bytes().split(b"\0")
            is_on_it = f"LOOKALIKE_DATA_DIR={data_dir}".encode() in environment
            if is_on_it and " worker " in f"{command_line(int(process.name))} ":
                found.append(int(process.name))
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except FileNotFoundError:
        return ""


def log_lines(server, event: str) -> int:
    return server.log.read_text().count(f'"event": "{event}"')


@pytest.fixture(scope="module")
def server(tmp_path_factory, make_data_dir):
    """A service and its worker, for the tests that leave them running."""
    env = QUICK | {"LOOKALIKE_WORKER_NICE": "7"}
    server = start_server(make_data_dir(tmp_path_factory.mktemp("service")), "--worker", env=env)
    yield server
    server.stop()
    server.process.stdout.close()


def test_a_job_is_followed_and_steered_by_client_and_command(server):
    url = ["--url", server.url]
    command = CliRunner()
    files = {"a.png": draw(1), "b.txt": b"no picture"}

    with Client(server.url) as client:
        job_id = client.import_upload(archive=io.BytesIO(archive_of(files)), name="a.zip").id
        seen = list(client.stream_job_events(job_id))
        assert seen[-1].status == "succeeded"
        assert client.list_job_items(job_id, status="failed").items[0].name == "b.txt"
        assert client.list_jobs(type="index").items[0].id == job_id

    assert command.invoke(app, ["jobs", "watch", job_id, *url]).exit_code == 0
    listed = json.loads(command.invoke(app, ["jobs", "list", "--json", *url]).stdout)
    assert [job["id"] for job in listed["items"]] == [job_id]
    assert job_id in command.invoke(app, ["jobs", "list", *url]).stdout
    assert "b.txt" in command.invoke(app, ["jobs", "show", job_id, "--failed", *url]).stdout
    assert "queued" in command.invoke(app, ["jobs", "retry", job_id, *url]).stdout
    assert command.invoke(app, ["jobs", "watch", job_id, *url]).exit_code == 0
    with pytest.raises(ServiceError, match="job_not_cancellable"):
        command.invoke(app, ["jobs", "cancel", job_id, *url], catch_exceptions=False)
    shown = json.loads(command.invoke(app, ["jobs", "show", job_id, "--json", *url]).stdout)
    assert shown["counts"] == {"created": 1, "failed": 1}


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
    assert workers_in(server.log.parent) == [worker]

    server.kill()
    wait_for(lambda: not command_line(worker))

    # It has ended by itself, its part given back: nobody killed it, and nobody is left to start another.
    assert log_lines(server, "worker_stopped") == 1
    assert log_lines(server, "worker_died") == 0
    assert workers_in(server.log.parent) == []


def test_the_worker_stands_back_in_the_service_s_own_session_and_hears_no_ctrl_c(server):
    [worker] = wait_for(lambda: workers_of(server))
    wait_for(lambda: log_lines(server, "worker_ready"))

    # Linux weighs nice values within a session only (sched(7), autogroups).
    assert os.getsid(worker) == os.getsid(server.process.pid)
    assert os.getpgid(worker) != os.getpgid(server.process.pid)
    assert os.getpriority(os.PRIO_PROCESS, worker) == os.getpriority(os.PRIO_PROCESS, server.process.pid) + 7
