"""What a running server does when the ground under it changes: folders, files, and the order to stop."""

import re
import shutil
import socket
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.api.conftest import draw
from tests.fixtures.server import STOP_TIMEOUT_S, Server
from tests.process.gallery import snapshots_of_codes
from tests.process.workers import wait_for


def stalled(path: str, media_type: str, begun: bytes, *headers: str) -> bytes:
    """A request whose body never comes."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {media_type}", "Content-Length: 99999"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + begun


STALLED = [
    stalled("/search", "application/json", b'{"'),
    stalled("/search", "multipart/form-data; boundary=b", b"--b\r\n"),
    stalled("/index", "application/zip", b"PK"),
    stalled("/index", "multipart/form-data; boundary=b", b"--b\r\n", "Idempotency-Key: k"),
]


def add(client: httpx2.Client, seed: int) -> httpx2.Response:
    return client.put(f"/images/p{seed}", content=draw(seed))


def found(client: httpx2.Client, seed: int) -> list[str]:
    answer = client.post("/search", files={"file": draw(seed)}, data={"limit": "3"})
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def readiness(client: httpx2.Client, status: int) -> dict:
    """The answer of ``/readyz`` once it has that status."""

    def answer() -> dict | None:
        told = client.get("/readyz")
        return told.json() if told.status_code == status else None

    return wait_for(answer, every_s=0.1)


def requests_in_flight(client: httpx2.Client) -> float:
    gauge = re.compile(r"^lookalike_admission_requests_in_flight{.*} (\S+)$", re.MULTILINE)
    return sum(map(float, gauge.findall(client.get("/metrics").text)))


def test_a_server_that_is_told_to_stop_answers_those_who_stall(start, tmp_path):
    server = start()
    parts = urlsplit(server.url)
    clients = []
    for request in STALLED * 3:
        client = socket.create_connection((parts.hostname, parts.port))
        client.sendall(request)
        clients.append(client)
    silent = socket.create_connection((parts.hostname, parts.port))
    with server.client() as http:
        wait_for(lambda: requests_in_flight(http) == len(clients))

    server.process.terminate()

    for client in clients:
        client.settimeout(STOP_TIMEOUT_S)
        answer = client.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 503 "), answer
        assert b"retry-after: 1" in answer.lower()
        client.close()
    silent.close()
    server.process.wait(timeout=STOP_TIMEOUT_S)
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "request_failed" not in log
    assert list((tmp_path / "data" / "uploads").glob("*")) == []


def test_a_running_server_keeps_its_locks_on_the_database(start, tmp_path):
    with start().client() as client:
        assert add(client, 1).status_code == 201
        with closing(sqlite3.connect(tmp_path / "data" / "lookalike.db")) as another:
            assert another.execute("SELECT count(*) FROM images").fetchone() == (1,)

        # The last connection to close removes it; without locks, this one would take itself for the last.
        assert (tmp_path / "data" / "lookalike.db-wal").exists()


def test_a_deleted_data_folder_takes_no_writes_and_a_restored_one_needs_no_restart(start, tmp_path):
    folder, aside = tmp_path / "data", tmp_path / "aside"
    server: Server = start(data_dir=folder)
    try:
        with server.client() as client:
            for seed in range(5):
                assert add(client, seed).status_code == 201
            folder.rename(aside)  # as unmounting does: files that are open stay open

            for seed in range(5, 10):
                answer = add(client, seed)
                assert answer.status_code == 503, answer.text
                assert "retry-after" in answer.headers
            assert "gone" in readiness(client, 503)["detail"]
            assert not (folder / "lookalike.db").exists()

            shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)
            readiness(client, 200)
            assert add(client, 5).status_code == 201
            assert found(client, 5)[0] == "p5"
            assert client.get("/images/p0/content").content == draw(0)
    finally:
        server.stop()
    assert "Traceback" not in server.log.read_text()


def test_a_snapshot_that_is_truncated_under_a_server_changes_no_answer(start, tmp_path):
    folder = tmp_path / "data"
    server = start(data_dir=folder)
    with server.client() as client:
        for seed in range(8):
            add(client, seed)
        expected = [found(client, seed) for seed in range(8)]
    server.stop()
    [snapshot] = snapshots_of_codes(folder)
    server = start(data_dir=folder)
    try:
        snapshot.chmod(0o600)
        with snapshot.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 64)
            file.truncate(4100)

        with server.client() as client:
            assert [found(client, seed) for seed in range(8)] == expected
    finally:
        server.stop()
    server = start(data_dir=folder)
    try:
        with server.client() as client:
            assert [found(client, seed) for seed in range(8)] == expected
    finally:
        server.stop()


@pytest.mark.postgres
def test_while_postgres_is_away_requests_get_503_and_work_again_without_a_restart(
    start, postgres_server, postgres_url
):
    name = postgres_url.partition("?")[0].rpartition("/")[2]
    server = start(env={"LOOKALIKE_DATABASE_URL": postgres_url})
    try:
        with server.client() as client:
            for seed in range(3):
                assert add(client, seed).status_code == 201
            code = client.post("/search", json={"image_id": "p0"}).json()["query"]["code"]
            for round_ in range(10):
                postgres_server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                terminate = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                postgres_server.run(terminate)

                for answer in (
                    client.post("/search", files={"file": draw(0)}),
                    client.post("/search", json={"image_id": "p0"}),
                    client.post("/search", json={"code": code, "model": "lite2-256"}),
                    add(client, 100 + round_),
                    client.delete("/images/p0"),
                ):
                    assert answer.status_code == 503, answer.text
                    assert answer.json()["code"] == "database_unavailable"
                    assert int(answer.headers["retry-after"]) > 0
                assert client.get("/healthz").status_code == 200

                postgres_server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
                assert found(client, 0)[0] == "p0"
                assert add(client, 200 + round_).status_code == 201
                assert found(client, 200 + round_)[0] == f"p{200 + round_}"
    finally:
        server.stop()
    assert "Traceback" not in server.log.read_text()
