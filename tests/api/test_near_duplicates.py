"""``on_near_duplicate``: copies among the pictures of a request, in ``PUT`` and in imports."""

import os
import sqlite3
from collections.abc import Iterator

import pytest
from PIL import Image, ImageOps

from app.api.app import create_app
from app.remote.connection import EngineAddress
from app.services.pictures.near_duplicates import MAX_NEAR
from app.settings import Settings
from tests.api.conftest import Api, assert_problem, local_client
from tests.api.importing import finished, items_of, working
from tests.api.test_clickhouse import until
from tests.api.test_duplicates import edited_photo, photo
from tests.fixtures.archives import zip_of
from tests.fixtures.engine import PASSWORD, USER, drop, engine_settings, engine_url  # noqa: F401
from tests.fixtures.pictures import encoded

PHOTO, OTHER = photo(1), photo(2)
DIM = edited_photo(1, lambda p: p.point(lambda level: level * 3 // 4))
MIRRORED = edited_photo(1, ImageOps.mirror)


both = pytest.mark.parametrize("gallery", ["local", "clickhouse"], indirect=True)
"""With an index in memory, and on ClickHouse."""


@pytest.fixture(scope="module", params=["local"])
def gallery(request, tmp_path_factory, make_data_dir, engine_url) -> Iterator[Api]:  # noqa: F811
    data_dir = make_data_dir(tmp_path_factory.mktemp("near") / "data")
    settings = Settings(data_dir=data_dir, decode_children=1, job_poll_s=0.02)
    address = EngineAddress(engine_url, f"near_{os.getpid()}", USER, lambda: PASSWORD)
    if request.param == "clickhouse":
        with local_client(create_app(settings, load_first=True)):
            pass  # makes the default collection
        with sqlite3.connect(data_dir / "lookalike.db") as database:
            database.execute("UPDATE collections SET index_kind = 'clickhouse'")
        database.close()
        settings = settings.replace(**engine_settings(address))
    with local_client(create_app(settings, load_first=True)) as client, working(client):
        until(lambda: client.post("/search", json={"image_id": "none"}).status_code == 404)
        yield Api(client)
    drop(address)


@pytest.fixture
def api(gallery):
    yield gallery
    everything = gallery.client.post("/images/delete", json={"all": True})
    assert everything.status_code == 200, everything.text


def near(item) -> list[str]:
    return [one["id"] for one in item["near_duplicates"]]


def stored(api) -> list[str]:
    return [one["id"] for one in api.client.get("/images").json()["items"]]


# ---- one request ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "status"), [("skip", "near_duplicate"), ("error", "failed")])
def test_of_several_copies_in_a_request_the_first_is_added(api, policy, status):
    answer = api.add(PHOTO, DIM, OTHER, MIRRORED, ids=["a", "b", "c", "d"], on_near_duplicate=policy)

    items = answer.json()["items"]
    assert [item["status"] for item in items] == ["created", status, "created", status]
    assert [near(item) for item in items] == [[], ["a"], [], ["a"]]  # not b, which is not added
    assert items[1]["near_duplicates"][0]["hash_distance"] <= 32
    assert items[3]["error"]["code"] == "near_duplicate_exists"
    assert stored(api) == ["a", "c"]


@both
def test_copies_in_a_request_are_reported_and_added(api):
    items = api.add(PHOTO, DIM, PHOTO, ids=["a", "b", "c"], on_near_duplicate="report").json()["items"]

    assert [item["status"] for item in items] == ["created"] * 3
    assert [sorted(near(item)) for item in items] == [[], ["a"], ["a", "b"]]
    assert items[2]["near_duplicates"][0] == {
        "id": "a",
        "exact": True,
        "hash_distance": 0,
        "descriptor_distance": 0.0,
    }


def test_a_picture_that_the_request_replaces_counts_with_its_new_file(api):
    api.add(PHOTO, ids=["a"])

    answer = api.add(OTHER, DIM, ids=["a", "b"], on_duplicate="replace", on_near_duplicate="skip")

    assert [item["status"] for item in answer.json()["items"]] == ["replaced", "created"]


@both
def test_putting_a_copy_under_another_id_can_be_refused(api):
    def put(image_id: str, content: bytes, **params):
        return api.client.put(f"/images/{image_id}", files={"file": ("a.png", content)}, params=params)

    assert put("a", PHOTO, on_near_duplicate="error").status_code == 201
    refused = put("b", DIM, on_near_duplicate="error")
    again = put("a", DIM, on_near_duplicate="error")
    unknown = put("b", DIM, on_near_duplicate="skip")

    assert "'a'" in assert_problem(refused, 409, "near_duplicate_exists")["detail"]
    assert again.status_code == 200  # it replaces the picture that it is a copy of
    assert_problem(unknown, 422, "validation_failed")
    assert put("b", PHOTO).status_code == 201


@both
def test_an_equal_file_is_found_among_many_blank_pictures(api):
    blank = [encoded(Image.new("L", (32, 32 + i), 250), "PNG") for i in range(MAX_NEAR + 2)]
    api.add(*blank, ids=[f"blank{i}" for i in range(len(blank))])

    [item] = api.add(blank[-1], ids=["again"], on_near_duplicate="skip").json()["items"]

    assert (item["status"], near(item)) == ("near_duplicate", [f"blank{MAX_NEAR + 1}"])


# ---- imports --------------------------------------------------------------------------------------


def imported(api, files: dict[str, bytes], **fields) -> tuple[dict, list[dict]]:
    answer = api.client.post("/index", files={"archive": ("a.zip", zip_of(files))}, data=fields)
    assert answer.status_code == 202, answer.text
    job = finished(api.client, answer.json()["id"])
    return job, items_of(api.client, job["id"])


FILES = {
    "1.png": DIM,
    "2.png": OTHER,
    "3.jpg": MIRRORED,
    "4.png": photo(3),
    "5.jpg": edited_photo(3, ImageOps.mirror),
}


@both
def test_an_import_leaves_out_copies_of_stored_pictures_and_of_its_own(api):
    api.add(PHOTO, ids=["a"])

    job, items = imported(api, FILES, on_near_duplicate="skip")

    assert [item["status"] for item in items] == [
        "near_duplicate",
        "created",
        "near_duplicate",
        "created",
        "near_duplicate",
    ]
    assert job["counts"] == {"created": 2, "near_duplicate": 3}
    assert job["arguments"]["on_near_duplicate"] == "skip"
    assert items[0]["error"]["code"] == "near_duplicate_exists"
    assert "'a'" in items[0]["error"]["detail"]
    assert repr(items[3]["id"]) in items[4]["error"]["detail"]
    assert stored(api) == ["a", items[1]["id"], items[3]["id"]]


def test_an_import_refuses_copies_so_that_a_retry_can_add_them(api):
    api.add(PHOTO, ids=["a"])
    job, items = imported(api, FILES, on_near_duplicate="error")
    assert job["counts"] == {"created": 2, "failed": 3}

    api.client.delete("/images/a")
    retried = api.client.post(f"/jobs/{job['id']}/retry")
    assert retried.status_code == 202, retried.text
    again = finished(api.client, job["id"])

    assert again["counts"] == {"created": 3, "failed": 2}
    assert items[0]["id"] in stored(api)


def test_an_import_names_the_copies_that_it_adds(api):
    api.add(PHOTO, ids=["a"])

    job, items = imported(api, FILES, on_near_duplicate="report")

    assert job["counts"] == {"created": 5}
    assert [item["error"] is not None for item in items] == [True, False, True, False, True]
    assert "'a'" in items[2]["error"]["detail"]
    assert repr(items[0]["id"]) in items[2]["error"]["detail"]


def test_an_import_takes_it_in_the_query_and_in_json_too(api):
    body = zip_of({"1.png": PHOTO, "2.png": DIM})
    answer = api.client.post(
        "/index?on_near_duplicate=skip", content=body, headers={"content-type": "application/zip"}
    )
    job = finished(api.client, answer.json()["id"])
    wrong = api.client.post("/index/import", json={"urls": ["http://x/a.png"], "on_near_duplicate": "maybe"})

    assert job["counts"] == {"created": 1, "near_duplicate": 1}
    assert assert_problem(wrong, 422, "validation_failed")["errors"][0]["pointer"] == "/on_near_duplicate"


def test_a_batch_is_compared_with_those_before_it(api, monkeypatch):
    monkeypatch.setattr("app.worker.handlers.import_images.BATCH_ITEMS", 2)

    job, items = imported(api, FILES, on_near_duplicate="skip")

    # Each batch is compared with what the one before has added.
    assert [item["status"] for item in items] == [
        "created",
        "created",
        "near_duplicate",
        "created",
        "near_duplicate",
    ]
    assert job["counts"] == {"created": 3, "near_duplicate": 2}
