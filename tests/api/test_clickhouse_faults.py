"""Faults of a ClickHouse server that is a process of its own: killed, hanging, emptied, another password."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.api.app import create_app
from app.domain.errors import IndexUnavailable
from app.remote import journal
from app.remote.connection import EngineConnection
from app.services.index_sync import engine_feeder
from app.settings import Settings
from tests.api.conftest import Api, assert_problem, draw, local_client
from tests.api.importing import finished, items_of, working
from tests.api.test_clickhouse import applied_of, until
from tests.fixtures.clickhouse_server import ClickHouseServer

pytestmark = pytest.mark.slow

OUTAGE_S = 30 if os.environ.get("LOOKALIKE_SOAK") else 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    server = ClickHouseServer(tmp_path_factory.mktemp("clickhouse"), password="first")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("first\n")
    return file


@pytest.fixture
def settings(
    tmp_path: Path, make_data_dir: Callable[[Path], Path], server: ClickHouseServer, password_file: Path
) -> Settings:
    return Settings(
        data_dir=make_data_dir(tmp_path / "data"),
        decode_children=1,
        poll_interval_s=0.05,
        clickhouse_url=server.url,
        clickhouse_database=f"faults_{os.getpid()}_{tmp_path.name[-8:].replace('-', '_')}",
        clickhouse_threads=1,
        clickhouse_password_file=password_file,
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with local_client(create_app(settings, load_first=True), raise_server_exceptions=False) as client:
        yield client


def test_a_killed_server_a_lost_disk_and_a_new_password_end_without_hands(
    api: Api, server: ClickHouseServer, password_file: Path
):
    """One test, because each start of the service costs more than all of its steps."""
    api.client.post("/collections", json={"name": "far", "index": "clickhouse"})
    api.add(*(draw(i) for i in range(4)), ids=["a", "b", "c", "d"], collection="far")
    api.add(draw(9), ids=["near"])

    def found() -> list[str]:
        return sorted(api.ids(api.search(draw(2), collection="far")))

    def refuses() -> None:
        answer = api.search(draw(2), collection="far")
        problem = assert_problem(answer, 503, "index_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert str(server.port) not in problem["detail"]
        assert api.ids(api.search(draw(9))) == ["near"]
        assert api.client.get("/readyz").status_code == 200

    # An outage: reads are refused, writes are kept, other collections are served.
    server.kill()
    end = threading.Event()
    refuses()
    assert api.add(draw(5), ids=["e"], collection="far").status_code == 201
    assert api.client.delete("/images/a", params={"collection": "far"}).status_code == 204
    for _ in range(OUTAGE_S):
        end.wait(1)
        refuses()
    server.start()
    until(lambda: api.search(draw(2), collection="far").status_code == 200)
    assert found() == ["b", "c", "d", "e"]

    # The server comes back with an empty disk; nothing changes in the database meanwhile.
    server.kill()
    server.lose_data()
    server.start()
    until(lambda: applied_of(api) and api.search(draw(2), collection="far").status_code == 200)
    assert found() == ["b", "c", "d", "e"]

    # The password is changed on both sides, in either order.
    server.set_password("second")
    refuses()
    password_file.write_text("second\n")
    until(lambda: api.search(draw(2), collection="far").status_code == 200)
    assert found() == ["b", "c", "d", "e"]
    password_file.write_text("third\n")
    server.set_password("third")
    assert api.add(draw(6), ids=["f"], collection="far").status_code == 201
    assert found() == ["b", "c", "d", "e", "f"]
    password_file.unlink()
    server.set_password("fourth")
    refuses()
    password_file.write_text("fourth\n")
    until(lambda: api.search(draw(2), collection="far").status_code == 200)
    server.set_password("first")
    password_file.write_text("first\n")


def test_a_server_that_hangs_delays_nothing_else(settings: Settings, server: ClickHouseServer):
    settings = settings.replace(clickhouse_deadline_s=0.3)
    with local_client(create_app(settings, load_first=True), raise_server_exceptions=False) as client:
        api = Api(client)
        client.post("/collections", json={"name": "far", "index": "clickhouse"})
        api.add(draw(1), ids=["a"], collection="far")
        server.pause()
        try:
            refused: list = []
            searching = threading.Thread(target=lambda: refused.append(api.search(draw(1), collection="far")))
            searching.start()
            for i in range(3):
                assert api.add(draw(10 + i), ids=[f"n{i}"]).status_code == 201
                assert api.ids(api.search(draw(10 + i)))[0] == f"n{i}"
            assert searching.is_alive()  # nothing of the above has waited for it
            searching.join()
            assert_problem(refused[0], 503, "index_unavailable")
        finally:
            server.resume()
        until(lambda: api.search(draw(1), collection="far").status_code == 200)


def test_writes_do_not_wait_for_an_index_that_is_being_opened(settings: Settings, monkeypatch):
    with local_client(create_app(settings, load_first=True)) as client:
        client.post("/collections", json={"name": "far", "index": "clickhouse"})
        Api(client).add(draw(1), ids=["a"], collection="far")
    mode, opening, ends, late = ["away"], threading.Event(), threading.Event(), []
    query = EngineConnection.query

    def answer(connection: EngineConnection, sql: str) -> list:
        if mode[0] == "away":
            raise IndexUnavailable("away", retry_after_s=1)
        if mode[0] == "opening hangs" and "count()" in sql:
            opening.set()
            if not ends.wait(20):
                late.append(sql)
        return query(connection, sql)

    monkeypatch.setattr(EngineConnection, "query", answer)
    with local_client(create_app(settings, load_first=True)) as client:
        api = Api(client)
        mode[0] = "opening hangs"
        assert opening.wait(10)
        assert api.add(draw(10), ids=["n"]).status_code == 201
        assert api.add(draw(2), ids=["b"], collection="far").status_code == 503
        assert api.ids(api.search(draw(10))) == ["n"]
        assert client.patch("/collections/default", json={"description": "x"}).status_code == 200
        assert not late
        mode[0] = "answers"
        ends.set()
        until(lambda: api.search(draw(1), collection="far").status_code == 200)
        assert api.ids(api.search(draw(1), collection="far")) == ["a"]


def test_verify_finds_what_the_server_lost_and_has_it_written_again(api: Api, settings: Settings, monkeypatch):
    monkeypatch.setattr(journal, "SETTLED_S", 0)
    monkeypatch.setattr(engine_feeder, "TIDY_EVERY_S", 0.05)
    client = api.client
    client.post("/collections", json={"name": "far", "index": "clickhouse"})
    api.add(*(draw(i) for i in range(4)), ids=["a", "b", "c", "d"], collection="far")
    until(lambda: applied_of(api) == client.get("/readyz").json()["index_version"])
    services = client.app.state.services
    [bits] = {one["bits"] for one in client.get("/collections").json()["items"] if one["name"] == "far"}
    table = f"{settings.engine.clickhouse_database}.codes_{bits // 64}"
    services.engine.command(f"ALTER TABLE {table} DELETE WHERE 1", {"mutations_sync": 2})
    with working(client):

        def verified(repair: bool) -> tuple[dict, dict]:
            started = client.post("/admin/jobs/verify", json={"repair": repair}).json()
            done = finished(client, started["id"])
            return done["result"], {
                item["name"]: item["error"]["code"] for item in items_of(client, done["id"])
            }

        found, items = verified(False)
        assert found["findings"]["engine_row_missing"] == 7  # one has too little detail for a hash
        assert list(items.values()) == ["engine_row_missing"] * 2
        assert all(name.startswith("far under ") for name in items)
        assert verified(True)[0]["repaired"] == 7
        until(lambda: len(api.ids(api.search(draw(2), collection="far"))) == 4)
        until(lambda: client.get("/collections/far").json()["images"] == 4)
        assert verified(False)[0]["findings"]["engine_row_missing"] == 0
