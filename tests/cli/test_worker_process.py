"""The worker beside the service is started again, whatever kept it from running."""

import sys

from structlog.testing import capture_logs

from app.cli.serving import worker_process
from app.cli.serving.worker_process import WorkerProcess


def test_a_worker_that_cannot_be_started_is_tried_again(monkeypatch, tmp_path):
    attempts = []
    running = tmp_path / "running"

    def popen(_, **options):
        attempts.append(None)
        if len(attempts) == 1:
            raise BlockingIOError("no more processes")
        waits = f"open({str(running)!r}, 'w').close(); import sys; sys.stdin.read()"
        return real([sys.executable, "-c", waits], **options)

    real = worker_process.subprocess.Popen
    monkeypatch.setattr(worker_process.subprocess, "Popen", popen)
    monkeypatch.setattr(worker_process, "FIRST_WAIT_S", 0.01)
    worker = WorkerProcess()
    with capture_logs() as logs:
        worker.start()
        while not running.exists() and worker._keeper.is_alive():
            worker._stopping.wait(0.01)
        worker.stop()

    assert running.exists()
    assert [log["event"] for log in logs] == ["worker_not_started"]


def test_a_worker_is_replaced_at_once_and_that_is_no_failure(monkeypatch, tmp_path):
    started = []

    def popen(_, **options):
        waits = f"open({str(tmp_path / str(len(started)))!r}, 'w').close(); import sys; sys.stdin.read()"
        started.append(real([sys.executable, "-c", waits], **options))
        return started[-1]

    real = worker_process.subprocess.Popen
    monkeypatch.setattr(worker_process.subprocess, "Popen", popen)
    monkeypatch.setattr(worker_process, "FIRST_WAIT_S", 600.0)
    worker = WorkerProcess()
    with capture_logs() as logs:
        worker.start()
        while not (tmp_path / "0").exists():
            worker._stopping.wait(0.01)
        worker.replace()
        while not (tmp_path / "1").exists():
            worker._stopping.wait(0.01)
        worker.stop()

    assert [log["event"] for log in logs] == ["worker_replaced"]
    assert all(process.returncode is not None for process in started)
