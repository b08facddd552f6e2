"""Which service or database a command talks to, and how it says so."""

import asyncio
import json
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn

from app.cli.serving.serve import _running_service, _server
from app.cli.terminal.service_record import (
    FOLDER,
    RunningService,
    ServiceRecord,
    local_url,
    running_services,
    stale_records,
)
from app.cli.terminal.settings import check_database
from app.settings import Settings
from tests.cli.conftest import serving
from tests.fixtures.forked import run_command


def a_service(data_dir: Path, url: str = "http://127.0.0.1:9") -> RunningService:
    return RunningService(url, check_database(Settings(data_dir=data_dir)), 1, "0", "2026-01-01T00:00:00+00:00")


def test_a_command_finds_the_service_on_its_data_folder_and_says_so(run, data_dir, settings):
    with serving(settings) as url:
        done = run("info", "--json")
        assert f"lookalike: using service {url}, which runs on {data_dir}\n" in done.stderr
        assert done.document["images"] == 0
    done = run("info", "--json")
    assert f"lookalike: using database sqlite+aiosqlite:///{data_dir}/lookalike.db\n" in done.stderr


def test_a_service_of_another_data_folder_or_database_is_not_used(data_dir, tmp_path):
    other = ServiceRecord(tmp_path / "other")
    other.write(a_service(tmp_path / "other"))
    assert running_services(data_dir) == []
    assert len(running_services(tmp_path / "other")) == 1
    other.remove()


def test_a_service_with_another_database_on_the_same_folder_is_not_used(run, data_dir, settings):
    record = ServiceRecord(data_dir)
    record.write(RunningService("http://127.0.0.1:9", "postgresql://elsewhere/x", 1, "0", "2026"))
    assert "using database sqlite" in run("info", "--json").stderr
    record.remove()


def test_the_record_of_a_killed_service_is_stale_and_removed_by_the_next_one(run, data_dir, settings):
    (data_dir / FOLDER).mkdir()
    left = data_dir / FOLDER / "left.json"
    left.write_text(
        json.dumps({"url": "http://127.0.0.1:9", "database": "x", "pid": 1, "version": "0", "started_at": ""})
    )

    assert running_services(data_dir) == []
    assert stale_records(data_dir) == [left]
    assert "using database" in run("info", "--json").stderr
    record = ServiceRecord(data_dir)
    record.write(a_service(data_dir))
    assert not left.exists()
    assert len(running_services(data_dir)) == 1
    record.remove()
    assert list((data_dir / FOLDER).iterdir()) == []


def test_other_users_can_neither_read_the_record_of_a_service_nor_plant_one(data_dir, monkeypatch):
    record = ServiceRecord(data_dir)
    record.write(a_service(data_dir))
    (path,) = (data_dir / FOLDER).glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(running_services(data_dir)) == 1

    path.chmod(0o666)
    assert running_services(data_dir) == []
    path.chmod(0o600)
    owner = path.stat().st_uid
    real = os.fstat
    monkeypatch.setattr(
        os, "fstat", lambda number: os.stat_result([*real(number)[:4], owner + 1, *real(number)[5:]])
    )
    assert running_services(data_dir) == []
    monkeypatch.undo()
    record.remove()


def test_a_service_in_the_network_of_a_container_is_named_and_sent_no_key(run, data_dir, settings):
    record = ServiceRecord(data_dir)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.setblocking(False)
        service = a_service(data_dir, f"http://127.0.0.1:{stranger.getsockname()[1]}")
        record.write(replace(service, network="net:[1]"))
        done = run("info", "--json", "--key", "lk_secret")
        with pytest.raises(BlockingIOError):
            stranger.accept()
    record.remove()
    assert "runs in a container or another network" in done.stderr
    assert "using database" in done.stderr
    assert RunningService.here("127.0.0.1", 1, "x").is_reachable


def test_the_record_is_removed_before_the_port_is_free(data_dir, monkeypatch):
    left = []

    async def shutdown(self, sockets):
        left.append(running_services(data_dir))

    monkeypatch.setattr(uvicorn.Server, "shutdown", shutdown)
    record = ServiceRecord(data_dir)
    record.write(a_service(data_dir))

    asyncio.run(_server(uvicorn.Config(None), record).shutdown())

    assert left == [[]]


def test_a_recorded_service_that_does_not_answer_is_named_and_the_database_used(run, data_dir, settings):
    record = ServiceRecord(data_dir)
    record.write(a_service(data_dir))
    done = run("info", "--json")
    record.remove()
    assert "the service http://127.0.0.1:9 does not answer" in done.stderr
    assert "using database" in done.stderr


def test_a_service_that_needs_a_key_is_used_with_one(run, settings, monkeypatch):
    secret = run("keys", "create", "me", "--scope", "admin").stdout.strip()
    with serving(settings) as url:
        without = run("info", "--json")
        assert "needs a key (LOOKALIKE_KEY)" in without.stderr
        assert "using database" in without.stderr
        monkeypatch.setenv("LOOKALIKE_KEY", secret)
        assert f"using service {url}" in run("info", "--json").stderr
        monkeypatch.setenv("LOOKALIKE_KEY", secret + "x")
        assert "unauthenticated" in run("info", "--json", status=4).stderr


def test_an_address_in_the_environment_or_an_option_comes_before_the_data_folder(
    run, settings, tmp_path, monkeypatch
):
    with serving(settings, record=False) as url:
        assert f"using service {url}\n" in run("info", "--url", url).stderr
        monkeypatch.setenv("LOOKALIKE_URL", url)
        monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(tmp_path / "none"))
        assert f"using service {url}\n" in run("info").stderr
        assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host", "http://", "http://host:99999", "http://[x", ""]
)
def test_a_bad_address_is_a_usage_error(run, url):
    done = run("info", "--url", url, status=2)
    assert "LOOKALIKE_URL" in done.stderr
    assert "write http://HOST:PORT" in done.stderr.replace("\n", " ")


@pytest.mark.parametrize("key", ["käse", "two words", "line\nend"])
def test_a_bad_key_is_a_usage_error_that_does_not_show_it(run, key):
    done = run("info", "--url", "http://127.0.0.1:9", "--key", key, status=2)
    assert "LOOKALIKE_KEY" in done.stderr
    assert key not in done.stderr


def test_a_service_that_does_not_answer_is_exit_code_3(run):
    done = run("info", "--url", "http://127.0.0.1:9", status=3)
    assert "lookalike: using service http://127.0.0.1:9\n" in done.stderr
    assert "does not answer" in done.stderr


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("10.0.0.1", "http://10.0.0.1:80"),
    ],
)
def test_this_machine_reaches_a_service_on_any_address_by_loopback(host, url):
    assert local_url(host, 80) == url


def test_a_service_is_described_without_reading_its_database_file(tmp_path):
    """Closing the file would release the locks that SQLite holds for this process, and lose its log."""
    (tmp_path / "lookalike.db").write_text("reading this would raise")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = _running_service(Settings(data_dir=tmp_path), listener)
    assert service.database == f"sqlite+aiosqlite:///{tmp_path}/lookalike.db"


def test_a_service_answers_after_other_processes_have_used_its_database(start, picture, tmp_path):
    server = start(data_dir=tmp_path / "data")
    environment = {**os.environ, "LOOKALIKE_DATA_DIR": str(tmp_path / "data")}
    for arguments in (["keys", "list"], ["index", str(picture)], ["db", "upgrade"]):
        done = run_command(*arguments, env=environment)
        assert done.returncode == 0, done.stderr
    with server.client() as client:
        assert client.post("/search", files={"file": picture.read_bytes()}).status_code == 200
    assert "using database" in done.stderr
