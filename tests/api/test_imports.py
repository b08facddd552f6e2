"""Imports: archives, lists and places are taken in by a job, each picture once, each refusal listed."""

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.api.app import create_app
from app.settings import Settings
from tests.api.conftest import Api, assert_problem, draw
from tests.api.importing import finished, items_of, working
from tests.fixtures.archives import overlapping_zip, tar_of, tar_with_links, zip_of

PICTURES = {f"{'shoes' if i % 2 else 'hats'}/{i}.png": draw(i, size=32) for i in range(10)}


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder that imports may read, and a file beside it that they may not."""
    root = tmp_path / "pictures"
    for name, content in PICTURES.items():
        (root / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "in" / name).write_bytes(content)
    (tmp_path / "secret.png").write_bytes(draw(99))
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    return root


@pytest.fixture
def settings(tmp_path, root) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        decode_children=1,
        job_poll_s=0.02,
        import_root=root,
        import_prefixes=["memory:///open/"],
        max_archive_entries=50,
        _env_file=None,
    )


@pytest.fixture
def client(settings):
    app = create_app(settings, load_first=True)
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def worker(client):
    with working(client):
        yield


def upload(client, content: bytes, name: str = "a.zip", path: str = "/index", headers=None, **fields):
    return client.post(path, files={"archive": (name, content)}, data=fields, headers=headers)


def staged(settings) -> list[str]:
    folder = settings.data_dir / "store" / "staging"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def listed(client, **params) -> dict[str, dict]:
    return {
        item["uri"]: item for item in client.get("/images", params={"limit": 1000, **params}).json()["items"]
    }


@pytest.mark.parametrize("path", ["/index", "/admin/jobs/index", "/v1/index"])
def test_a_zip_is_imported_by_a_job(client, worker, settings, path):
    answer = upload(client, zip_of(PICTURES), path=path)

    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert (job["type"], job["arguments"]["name"]) == ("index", "a.zip")
    job = finished(client, job["id"])
    assert (job["status"], job["counts"], job["error"]) == ("succeeded", {"created": 10}, None)
    assert (job["progress"]["done"], job["progress"]["total"], job["progress"]["percent"]) == (10, 10, 100.0)
    pictures = listed(client)
    assert set(pictures) == set(PICTURES)
    assert pictures["shoes/1.png"]["metadata"] == {"label": "shoes"}
    assert pictures["shoes/1.png"]["id"] == f"sha256:{pictures['shoes/1.png']['sha256']}"
    assert client.get(pictures["hats/2.png"]["content_url"]).content == PICTURES["hats/2.png"]
    hit = Api(client).search(PICTURES["hats/4.png"]).json()
    assert hit["exact_matches"] == [pictures["hats/4.png"]["id"]]
    assert staged(settings) == []
    assert list((settings.data_dir / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (zip_of(PICTURES), "application/zip"),
        (tar_of(PICTURES), "application/x-tar"),
        (tar_of(PICTURES, "w:gz"), "application/gzip"),
    ],
)
def test_a_raw_archive_is_imported(client, worker, content, kind):
    answer = client.post("/index?label=false", content=content, headers={"content-type": kind})

    assert finished(client, answer.json()["id"])["counts"] == {"created": 10}
    assert listed(client)["hats/0.png"]["metadata"] == {}


def test_importing_again_changes_nothing(client, worker):
    finished(client, upload(client, zip_of(PICTURES)).json()["id"])

    again = finished(client, upload(client, zip_of(PICTURES)).json()["id"])

    assert again["counts"] == {"unchanged": 10}
    assert client.get("/info").json()["images"] == 10


def test_what_fails_is_listed_and_only_that_is_tried_again(client, worker, settings):
    files = {**PICTURES, "notes.txt": b"no picture", "../x.png": b"x"}
    job = finished(client, upload(client, zip_of(files)).json()["id"])

    assert (job["status"], job["counts"]) == ("succeeded", {"created": 10, "failed": 2})
    failed = items_of(client, job["id"], status="failed", limit=1)
    assert [(f["position"], f["name"], f["error"]["code"]) for f in failed] == [
        (10, "notes.txt", "not_an_image"),
        (11, "../x.png", "entry_refused"),
    ]
    assert staged(settings) == [job["id"]]

    assert client.post(f"/jobs/{job['id']}/retry").status_code == 202
    again = finished(client, job["id"])
    assert again["counts"] == {"created": 10, "failed": 2}
    assert again["progress"]["done"] == 12


def test_the_outcome_of_each_item_is_listed_in_order(client, worker):
    job = finished(client, upload(client, tar_of(PICTURES), "a.tar").json()["id"])

    items = items_of(client, job["id"], limit=3)

    assert [item["name"] for item in items] == list(PICTURES)
    assert {item["status"] for item in items} == {"created"}
    assert client.get(f"/images/{items[3]['id']}").json()["uri"] == items[3]["name"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (overlapping_zip(), "archive_refused"),
        (zip_of({f"{i}.png": b"x" for i in range(60)}), "archive_refused"),
        (tar_of({"a.png": b"\0" * 60_000_000}, "w:gz"), "archive_refused"),
        (zip_of(PICTURES)[:-30], "archive_refused"),
    ],
)
def test_a_hostile_archive_fails_its_job_and_nothing_else(client, worker, content, code):
    job = finished(client, upload(client, content).json()["id"])

    assert (job["status"], job["error"]["code"], job["progress"]["done"]) == ("failed", code, 0)
    assert client.get("/info").json()["images"] == 0
    assert finished(client, upload(client, zip_of(PICTURES)).json()["id"])["status"] == "succeeded"


def test_links_are_refused_one_by_one(client, worker):
    job = finished(client, upload(client, tar_with_links(), "a.tar").json()["id"])

    assert job["counts"] == {"failed": 3}


def test_what_is_no_archive_is_refused_at_once(client, settings):
    assert_problem(upload(client, b"hello"), 422, "archive_refused")
    assert_problem(upload(client, zip_of(PICTURES), collection="none"), 404, "unknown_collection")
    assert_problem(upload(client, zip_of(PICTURES), on_duplicate="odd"), 422, "validation_failed")
    assert_problem(upload(client, zip_of(PICTURES), colour="red"), 422, "validation_failed")
    assert_problem(
        client.post("/index", content=b"x", headers={"content-type": "text/plain"}),
        415,
        "unsupported_media_type",
    )
    refused = client.post("/index?collection=none", content=b"x", headers={"content-type": "application/zip"})
    assert_problem(refused, 404, "unknown_collection")
    assert client.get("/jobs").json()["items"] == []
    assert staged(settings) == []
    assert list((settings.data_dir / "uploads").iterdir()) == []


def test_an_upload_past_its_cap_is_refused_and_leaves_nothing(settings):
    small = settings.model_copy(update={"max_archive_bytes": 5_000})
    content = zip_of({"a.png": draw(1, size=300)})
    with TestClient(create_app(small, load_first=True), base_url="http://127.0.0.1:8000") as client:
        assert_problem(upload(client, content), 413, "image_too_large")
        raw = client.post("/index", content=content, headers={"content-type": "application/zip"})
        assert_problem(raw, 413, "image_too_large")
        assert client.get("/jobs").json()["items"] == []
    assert staged(small) == []
    assert list((small.data_dir / "uploads").iterdir()) == []


def test_an_idempotency_key_starts_one_job(client):
    headers, content = {"idempotency-key": "import-1"}, zip_of(PICTURES)

    first = upload(client, content, headers=headers)
    second = upload(client, content, headers=headers)

    assert first.status_code == second.status_code == 202
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["location"] == first.headers["location"]
    assert len(client.get("/jobs").json()["items"]) == 1
    assert_problem(upload(client, tar_of(PICTURES), headers=headers), 422, "validation_failed")


REFERENCES = [
    {"uri": "in/shoes/1.png", "id": "one", "metadata": {"brand": "acme", "year": 2024}},
    {"uri": "in/hats/2.png"},
    {"uri": "in/none.png", "id": "gone"},
    {"uri": "../secret.png", "id": "out"},
    {"uri": "link.png", "id": "linked"},
    {"uri": "https://images.example/1.png", "id": "far"},
    {"uri": "s3://bucket/1.png", "id": "object"},
    {"id": "nothing"},
]
REFUSALS = {
    "in/none.png": "fetch_failed",
    "../secret.png": "url_not_allowed",
    "link.png": "url_not_allowed",
    "https://images.example/1.png": "url_not_allowed",
    "s3://bucket/1.png": "url_not_allowed",
}


def test_references_as_ndjson(client, worker):
    lines = "\n".join([*map(json.dumps, REFERENCES), "no json", ""])
    answer = client.post("/index", content=lines, headers={"content-type": "application/x-ndjson"})

    job = finished(client, answer.json()["id"])

    assert (job["status"], job["counts"]) == ("succeeded", {"created": 2, "failed": 7})
    assert client.get("/images/one").json()["metadata"] == {"brand": "acme", "year": 2024}
    refused = {item["name"]: item["error"]["code"] for item in items_of(client, job["id"], status="failed")}
    assert refused == REFUSALS | {"line 8": "validation_failed", "line 9": "validation_failed"}


def test_references_as_csv(client, worker):
    rows = (
        "uri,id,metadata,brand\n"
        'in/shoes/1.png,one,"{""year"": 2024}",acme\n'
        "in/hats/2.png,,,\n"
        "in/hats/4.png,x,[],\n"
    )
    answer = client.post("/index", content=rows, headers={"content-type": "text/csv"})

    job = finished(client, answer.json()["id"])

    assert (job["status"], job["counts"]) == ("succeeded", {"created": 2, "failed": 1})
    assert client.get("/images/one").json()["metadata"] == {"year": 2024, "brand": "acme"}


@pytest.mark.parametrize("rows", ["id,brand\n1,acme\n", "", "uri\n\xff".encode("latin-1")])
def test_a_csv_without_uris_fails_its_job(client, worker, rows):
    answer = client.post("/index", content=rows, headers={"content-type": "text/csv"})

    job = finished(client, answer.json()["id"])

    assert (job["status"], job["error"]["code"]) == ("failed", "validation_failed")


def test_a_server_folder(client, worker):
    answer = client.post("/admin/jobs/index", json={"folder": "in"})

    assert finished(client, answer.json()["id"])["counts"] == {"created": 10}
    assert listed(client)["in/shoes/1.png"]["metadata"] == {"label": "shoes"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"folder": ".."}, "url_not_allowed"),
        ({"folder": "/etc"}, "url_not_allowed"),
        ({"folder": "in/../../"}, "url_not_allowed"),
        ({"folder": "none"}, "validation_failed"),
        ({"prefix": "s3://bucket/x/"}, "url_not_allowed"),
        ({"prefix": "memory:///open/../shut/"}, "url_not_allowed"),
        ({"folder": "in", "urls": ["https://x"]}, "validation_failed"),
        ({}, "validation_failed"),
        ({"urls": []}, "validation_failed"),
        ({"folder": "in", "colour": "red"}, "validation_failed"),
    ],
)
def test_places_that_may_not_be_read_are_refused(client, body, code):
    assert_problem(client.post("/admin/jobs/index", json=body), 422, code)


def test_urls_are_refused_one_by_one_where_they_are_off(client, worker):
    answer = client.post("/admin/jobs/index", json={"urls": ["http://127.0.0.1/a.png", "ftp://x/y"]})

    job = finished(client, answer.json()["id"])

    assert job["counts"] == {"failed": 2}
