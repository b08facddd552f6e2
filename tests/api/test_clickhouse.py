"""A collection whose index is on ClickHouse, over HTTP; chDB is the engine, in this process."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import ImageOps
from starlette.testclient import TestClient

from app.api.app import create_app
from app.domain.errors import IndexUnavailable
from app.domain.perceptual import PERCEPTUAL_MODEL
from app.remote.connection import EngineAddress, EngineConnection
from app.services.index_sync.engine_feeder import EngineFeeder
from app.services.index_sync.live_collection import LiveCollection
from app.settings import Settings
from tests.api.conftest import Api, assert_problem, draw, local_client
from tests.api.importing import finished, working
from tests.api.test_duplicates import edited_photo, photo
from tests.fixtures.engine import engine_address, engine_settings, engine_url  # noqa: F401


@pytest.fixture
def settings(tmp_path: Path, make_data_dir: Callable[[Path], Path], engine_address: EngineAddress) -> Settings:  # noqa: F811
    return Settings(
        data_dir=make_data_dir(tmp_path / "data"),
        decode_children=1,
        poll_interval_s=0.05,
        **engine_settings(engine_address),
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with local_client(create_app(settings, load_first=True), raise_server_exceptions=False) as client:
        yield client


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_pictures_are_found_by_the_next_search_and_deleted_ones_are_not(api: Api):
    made = api.client.post("/collections", json={"name": "far", "index": "clickhouse"})
    assert (made.status_code, made.json()["index"], made.json()["images"]) == (201, "clickhouse", 0)
    local = api.client.post("/collections", json={"name": "near"})
    assert local.json()["index"] == "local"
    names = [f"p{i}" for i in range(8)]
    metadata = [{"brand": "acme" if i % 2 else "zeta", "year": i} for i in range(8)]
    for collection in ("far", "near"):
        added = api.add(*(draw(i) for i in range(8)), ids=names, metadata=metadata, collection=collection)
        assert added.status_code == 200, added.text

    def same(**fields) -> list[str]:
        far, near = (api.search(draw(3), collection=name, **fields) for name in ("far", "near"))
        assert far.status_code == near.status_code == 200, (far.text, near.text)
        shown = [
            [(item["id"], item["distance"], item["rank"]) for item in answer.json()["items"]]
            for answer in (far, near)
        ]
        assert shown[0] == shown[1]
        parts = [answer.json()["index"] for answer in (far, near)]
        for name in ("searched", "indexed", "pending", "failed", "coverage"):
            assert parts[0].get(name) == parts[1].get(name)
        return api.ids(far)

    assert same()[0] == "p3"
    assert set(same(filter={"must": [{"key": "brand", "match": "acme"}]})) == {"p1", "p3", "p5", "p7"}
    assert set(same(filter={"must": [{"key": "year", "range": {"gte": 6}}]})) == {"p6", "p7"}
    assert same(orientations=8)[0] == "p3"
    assert same(colour=0.5)[0] == "p3"
    for collection in ("far", "near"):
        assert api.client.delete("/images/p3", params={"collection": collection}).status_code == 204
        changed = api.client.patch(
            "/images/p1",
            params={"collection": collection},
            json={"metadata": {"brand": "other"}},
        )
        assert changed.status_code == 200, changed.text
    assert "p3" not in same()
    assert set(same(filter={"must": [{"key": "brand", "match": "acme"}]})) == {"p5", "p7"}
    by_image = [
        api.client.post("/search", json={"collection": name, "image_id": "p5", "limit": 3}).json()["items"]
        for name in ("far", "near")
    ]
    assert [item["id"] for item in by_image[0]] == [item["id"] for item in by_image[1]]
    assert api.client.get("/collections/far").json()["images"] == 7
    assert api.client.delete("/collections/far").status_code == 204
    assert_problem(api.search(draw(3), collection="far"), 404, "unknown_collection")


def test_what_needs_a_local_index_is_refused_with_a_reason(api: Api):
    api.client.post("/collections", json={"name": "far", "index": "clickhouse"})
    api.add(draw(1), ids=["a"], collection="far")
    for refused, instead in (
        (api.search(draw(1), collection="far", rank="asymmetric"), "use rank hamming or descriptor"),
        (api.client.get("/duplicates", params={"collection": "far"}), "search by a picture"),
    ):
        [error] = assert_problem(refused, 422, "validation_failed")["errors"]
        assert "index on clickhouse" in error["detail"]
        assert instead in error["detail"]
    text = api.client.post("/search", json={"collection": "far", "text": "dog"})
    assert text.status_code == 200, text.text


def test_copies_are_looked_for_once_an_engine_of_an_earlier_version_has_the_hashes(api: Api, monkeypatch):
    fed = EngineFeeder._fed

    async def codes_only(self: EngineFeeder, records) -> list:
        return [one for one in await fed(self, records) if one.model != PERCEPTUAL_MODEL]

    monkeypatch.setattr(EngineFeeder, "_fed", codes_only)
    api.client.post("/collections", json={"name": "far", "index": "clickhouse"})
    api.add(photo(1), ids=["a"], collection="far")
    dim = edited_photo(1, lambda p: p.point(lambda level: level * 3 // 4))

    def added():
        return api.add(dim, ids=["b"], collection="far", on_near_duplicate="report")

    problem = assert_problem(added(), 503, "index_unavailable")
    assert "perceptual hashes" in problem["detail"]
    assert api.ids(api.search(photo(1), collection="far")) == ["a"]
    monkeypatch.setattr(EngineFeeder, "_fed", fed)
    until(lambda: far(api).remote_hashes is not None)
    [item] = added().json()["items"]
    assert [near["id"] for near in item["near_duplicates"]] == ["a"]


def test_stored_pictures_are_copies_by_their_hashes_as_in_a_local_collection(api: Api):
    api.client.post("/collections", json={"name": "far", "index": "clickhouse"})
    grey = edited_photo(1, ImageOps.grayscale)

    def likenesses(name: str) -> tuple[dict[str, str], str]:
        api.add(photo(1), grey, photo(2), ids=["a", "b", "c"], collection=name)
        found = api.client.post("/search", json={"image_id": "a", "collection": name}).json()["items"]
        compared = api.client.post("/compare/stored", json={"first": "a", "second": "b", "collection": name})
        return {one["id"]: one["likeness"] for one in found}, compared.json()["likeness"]

    found, compared = likenesses("far")
    assert (found, compared) == likenesses("default")
    assert found["b"] == compared == "copy"


def test_a_backup_is_restored_into_the_engine(api: Api):
    client = api.client
    client.post("/collections", json={"name": "far", "index": "clickhouse"})
    api.add(photo(1), photo(2), ids=["a", "b"], collection="far", metadata=[{"n": 1}, {"n": 2}])
    with working(client):
        backup = finished(client, client.post("/admin/jobs/backup", json={}).json()["id"])
        client.delete("/images/a", params={"collection": "far"})
        api.add(photo(3), ids=["late"], collection="far")
        until(lambda: applied_of(api) == client.get("/readyz").json()["index_version"])
        restored = client.post("/admin/restore", json={"backup": backup["id"]}).json()
        assert finished(client, restored["id"])["status"] == "succeeded"
    until(lambda: api.search(photo(1), collection="far").status_code == 200)
    assert api.ids(api.search(photo(1), collection="far")) == ["a", "b"]
    of_two = json.dumps({"must": [{"key": "n", "match": 2}]})
    assert api.ids(api.search(photo(1), collection="far", filter=of_two)) == ["b"]
    assert client.get("/collections/far").json()["index"] == "clickhouse"


def test_an_engine_that_lost_its_data_is_written_again_and_never_answers_wrongly(api: Api, engine_address):  # noqa: F811
    api.client.post("/collections", json={"name": "far", "index": "clickhouse"})
    api.add(*(draw(i) for i in range(4)), ids=["a", "b", "c", "d"], collection="far")
    until(lambda: applied_of(api) == api.client.get("/readyz").json()["index_version"])
    api.add(draw(9), ids=["other"])
    connection = EngineConnection(engine_address)
    connection.command(f"DROP DATABASE {connection.database}")
    lost = api.search(draw(2), collection="far")
    problem = assert_problem(lost, 503, "index_unavailable")
    assert int(lost.headers["retry-after"]) >= 1
    assert engine_address.url not in problem["detail"]
    assert api.ids(api.search(draw(9))) == ["other"]
    # The next change reaches the engine, whose feeder finds that it must begin again.
    assert api.add(draw(5), ids=["e"], collection="far").status_code == 201
    until(lambda: api.search(draw(2), collection="far").status_code == 200)
    assert sorted(api.ids(api.search(draw(2), collection="far"))) == ["a", "b", "c", "d", "e"]
    connection.close()


def test_without_the_engine_its_collections_wait_and_the_others_serve(tmp_path, settings: Settings):
    with local_client(create_app(settings, load_first=True)) as client:
        client.post("/collections", json={"name": "far", "index": "clickhouse"})
        Api(client).add(draw(1), ids=["a"], collection="far")
        Api(client).add(draw(1), ids=["a"])
    away = settings.replace(clickhouse_url="http://127.0.0.1:9")
    with local_client(create_app(away, load_first=True)) as client:
        assert client.get("/readyz").status_code == 200
        api = Api(client)
        refused = api.search(draw(1), collection="far")
        assert_problem(refused, 503, "index_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert api.ids(api.search(draw(1))) == ["a"]
        made = client.post("/collections", json={"name": "more", "index": "clickhouse"})
        assert_problem(made, 503, "index_unavailable")
        assert client.get("/collections/more").status_code == 404
        assert_problem(client.delete("/collections/more"), 404, "unknown_collection")
    with local_client(create_app(settings, load_first=True)) as client:
        until(lambda: Api(client).search(draw(1), collection="far").status_code == 200)
        assert Api(client).ids(Api(client).search(draw(1), collection="far")) == ["a"]


def test_a_service_without_an_engine_says_what_to_set(tmp_path, make_data_dir):
    settings = Settings(data_dir=make_data_dir(tmp_path / "other"), decode_children=1)
    with local_client(create_app(settings, load_first=True)) as client:
        made = client.post("/collections", json={"name": "far", "index": "clickhouse"})
        problem = assert_problem(made, 422, "validation_failed")
        assert "LOOKALIKE_CLICKHOUSE_URL" in problem["errors"][0]["detail"]


def test_a_collection_is_deleted_without_its_engine(settings: Settings):
    with local_client(create_app(settings, load_first=True)) as client:
        client.post("/collections", json={"name": "far", "index": "clickhouse"})
        Api(client).add(draw(1), ids=["a"], collection="far")
        until(lambda: applied_of(Api(client)) == client.get("/readyz").json()["index_version"])
    with local_client(create_app(settings.replace(clickhouse_url=None), load_first=True)) as client:
        refused = assert_problem(Api(client).search(draw(1), collection="far"), 503, "index_unavailable")
        assert "LOOKALIKE_CLICKHOUSE_URL" in refused["detail"]
        assert Api(client).add(draw(2), ids=["b"]).status_code == 201
        assert client.delete("/collections/far").status_code == 204
        assert_problem(Api(client).search(draw(1), collection="far"), 404, "unknown_collection")


def test_writes_and_other_collections_do_not_wait_for_an_engine_that_hangs(settings: Settings, monkeypatch):
    with local_client(create_app(settings, load_first=True)) as client:
        client.post("/collections", json={"name": "far", "index": "clickhouse"})
        Api(client).add(draw(1), ids=["a"], collection="far")
    answers, asked, waiting, late = threading.Event(), threading.Event(), [], []

    def hang(connection: EngineConnection, sql: str) -> list:
        waiting.append(sql)
        asked.set()
        if not answers.wait(20):
            late.append(sql)
        waiting.remove(sql)
        raise IndexUnavailable("hangs", retry_after_s=1)

    answers.set()
    with monkeypatch.context() as away:
        away.setattr(EngineConnection, "query", hang)
        with local_client(create_app(settings, load_first=True)) as client:
            api = Api(client)
            answers.clear()
            for i in range(4):
                asked.clear()
                assert asked.wait(10)
                assert api.add(draw(10 + i), ids=[f"n{i}"]).status_code == 201
                assert api.ids(api.search(draw(10 + i)))[0] == f"n{i}"
                assert not late  # else the engine's deadline was over first
                answers.set()
                until(lambda: not waiting)
                answers.clear()
            assert_problem(api.search(draw(1), collection="far"), 503, "index_unavailable")
            answers.set()
            away.undo()
            until(lambda: api.search(draw(1), collection="far").status_code == 200)


def applied_of(api: Api) -> int:
    """The version of the engine that searches read."""
    return far(api).index.applied


def far(api: Api) -> LiveCollection:
    """The collection as the process serves it."""
    return api.client.app.state.services.index_sync.catalogue.collection("far")
