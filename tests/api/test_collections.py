"""``/collections`` and ``/models``."""

import asyncio

import pytest

from app.api.app import create_app
from app.store.pictures.images import ImageReader
from tests.api.conftest import Api, assert_problem, draw, local_client


def test_the_default_collection_exists_and_stays(api):
    listed = api.client.get("/collections").json()["items"]

    assert [c["name"] for c in listed] == ["default"]
    assert_problem(api.client.delete("/collections/default"), 409, "collection_in_use")


def test_collections_keep_their_pictures_apart(api):
    created = api.client.post("/collections", json={"name": "shop", "description": "our shop"})
    assert created.status_code == 201
    assert created.headers["location"] == "/collections/shop"

    api.add(draw(1), ids=["a"], collection="shop")
    api.add(draw(2), ids=["b"])

    assert api.ids(api.search(draw(1), collection="shop")) == ["a"]
    assert api.ids(api.search(draw(1))) == ["b"]
    assert_problem(api.client.get("/images/a"), 404, "unknown_image")
    assert api.client.get("/images/a?collection=shop").status_code == 200


def test_a_collection_is_described_counted_and_deleted(api):
    api.client.post("/collections", json={"name": "shop"})
    api.add(draw(1), collection="shop")

    changed = api.client.patch("/collections/shop", json={"description": "new"}).json()
    stats = api.client.get("/collections/shop/stats").json()
    gone = api.client.delete("/collections/shop")

    assert changed["description"] == "new"
    assert (stats["images"], stats["stored_bytes"]) == (1, len(draw(1)))
    assert gone.status_code == 204
    assert_problem(api.search(draw(1), collection="shop"), 404, "unknown_collection")
    assert_problem(api.client.get("/collections/shop"), 404, "unknown_collection")


def test_a_deleted_collection_s_name_starts_empty_again(api):
    api.client.post("/collections", json={"name": "shop"})
    api.add(draw(1), collection="shop")
    api.client.delete("/collections/shop")
    api.client.post("/collections", json={"name": "shop"})

    assert api.ids(api.search(draw(1), collection="shop")) == []


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"name": "default"}, 409, "collection_exists"),
        ({"name": "../x"}, 422, "validation_failed"),
        ({"name": "Shop"}, 422, "validation_failed"),
        ({"name": "x", "model": "nothing"}, 404, "unknown_model"),
        ({"name": "x", "keeps": "maybe"}, 422, "validation_failed"),
        ({}, 422, "validation_failed"),
    ],
)
def test_a_wrong_collection_is_refused(api, asked, status, code):
    assert_problem(api.client.post("/collections", json=asked), status, code)


def test_collections_are_listed_by_cursor(api):
    for name in ("c", "a", "b"):
        api.client.post("/collections", json={"name": name})

    first = api.client.get("/collections?limit=3").json()
    second = api.client.get("/collections", params={"limit": 3, "cursor": first["next_cursor"]}).json()

    assert [c["name"] for c in first["items"] + second["items"]] == ["a", "b", "c", "default"]
    assert second["next_cursor"] is None


def test_a_search_cursor_of_a_deleted_collection_is_refused(api):
    api.client.post("/collections", json={"name": "shop"})
    api.add(*(draw(i) for i in range(3)), collection="shop")
    cursor = api.search(draw(1), collection="shop", limit=1).json()["next_cursor"]
    api.client.delete("/collections/shop")

    assert_problem(api.client.post("/search", json={"cursor": cursor}), 404, "unknown_collection")


def test_models_are_listed_with_their_reports(api):
    models = api.client.get("/models").json()["items"]

    default = api.client.get("/info").json()["model"]
    assert default in [m["name"] for m in models]
    report = api.client.get(f"/models/{default}/report").json()
    assert (report["name"], report["origin"], report["collections"]) == (default, "shipped", ["default"])
    assert report["document"]["licence"]
    assert_problem(api.client.get("/models/nothing/report"), 404, "unknown_model")


def test_a_deleted_collections_pictures_and_files_go(settings):
    """Bit by bit in the background, by the service that runs."""
    quick = settings.replace(orphan_grace_s=0.01, sweep_interval_s=0.05)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.services.operations.chores.SWEEP_COLLECTIONS_EVERY_S", 0.05)
        with local_client(create_app(quick, load_first=True)) as client:
            client.post("/collections", json={"name": "gone"})
            Api(client).add(draw(1), draw(2), collection="gone")
            Api(client).add(draw(1), ids=["kept"])
            client.delete("/collections/gone")
            files = quick.storage.data_dir / "store" / "pictures"
            for _ in range(1000):
                left = [path for path in files.rglob("*") if path.is_file()]
                if len(left) == 1:
                    break
                client.portal.call(asyncio.sleep, 0.02)
            content = client.get("/images/kept/content").content

    assert len(left) == 1
    assert content == draw(1)


def test_collections_are_listed_without_reading_their_pictures(api, monkeypatch):
    async def fail(_self, _collection_pk: int) -> int:
        raise AssertionError("the list does not need it")

    api.client.post("/collections", json={"name": "shop", "description": "ours"})
    api.add(draw(1), ids=["a"], collection="shop")
    monkeypatch.setattr(ImageReader, "stored_bytes", fail)

    pages = [api.client.get("/collections?limit=1").json()]
    pages.append(api.client.get("/collections", params={"cursor": pages[0]["next_cursor"]}).json())

    listed = [item for page in pages for item in page["items"]]
    assert [(item["name"], item["images"]) for item in listed] == [("default", 0), ("shop", 1)]
    assert listed[1] == api.client.get("/collections/shop").json()
    assert api.client.patch("/collections/shop", json={"description": None}).status_code == 200
