"""Imports: a job adds each picture of an archive, list or folder once, and lists each refusal."""

import json
import os
import unicodedata
from pathlib import Path

import pytest

from app.api.app import create_app
from app.settings import Settings
from tests.api.conftest import Api, assert_problem, draw, local_client
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
    )


@pytest.fixture
def client(settings):
    app = create_app(settings, load_first=True)
    with local_client(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def worker(client):
    with working(client):
        yield


def upload(client, content: bytes, name: str = "a.zip", path: str = "/index", headers=None, **fields):
    return client.post(path, files={"archive": (name, content)}, data=fields, headers=headers)


def staged(settings) -> list[str]:
    folder = settings.storage.data_dir / "store" / "staging"
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
    assert list((settings.storage.data_dir / "uploads").iterdir()) == []


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


def test_failed_items_are_listed_and_only_those_are_retried(client, worker, settings):
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


def test_each_link_is_refused(client, worker):
    job = finished(client, upload(client, tar_with_links(), "a.tar").json()["id"])

    assert job["counts"] == {"failed": 3}


def test_a_file_that_is_not_an_archive_is_refused_at_once(client, settings):
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
    assert list((settings.storage.data_dir / "uploads").iterdir()) == []


def test_a_too_large_upload_is_refused_and_leaves_no_files(settings):
    small = settings.replace(max_archive_bytes=5_000)
    content = zip_of({"a.png": draw(1, size=300)})
    with local_client(create_app(small, load_first=True)) as client:
        assert_problem(upload(client, content), 413, "image_too_large")
        raw = client.post("/index", content=content, headers={"content-type": "application/zip"})
        assert_problem(raw, 413, "image_too_large")
        assert client.get("/jobs").json()["items"] == []
    assert staged(small) == []
    assert list((small.storage.data_dir / "uploads").iterdir()) == []


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


def import_list(client, content: bytes | str, kind: str = "text/csv", **params) -> dict:
    answer = client.post("/index", content=content, headers={"content-type": kind}, params=params)
    return finished(client, answer.json()["id"])


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [
        ("id,brand\n1,acme\n", "validation_failed", "line 1 has no column uri"),
        ("\nfile;id\na;b\n", "validation_failed", "'file', 'id'"),
        ("", "validation_failed", "uri"),
        ("uri,id,id\na,b,c\n", "validation_failed", "'id' twice"),
        ('uri,id\na,b\n"c,d\ne,f\n', "validation_failed", "line 3"),
        (b"uri\na\n\x81\n", "validation_failed", "line 3 is neither UTF-8 nor Windows-1252"),
        ("uri,id\n", "nothing_to_import", "contains no pictures"),
    ],
)
def test_an_unreadable_csv_fails_its_job_with_the_line(client, worker, rows, code, words):
    job = import_list(client, rows)

    assert (job["status"], job["error"]["code"]) == ("failed", code)
    assert words in job["error"]["detail"]


def test_an_invalid_row_is_named_by_line_and_column(client, worker):
    job = import_list(
        client,
        "uri,id,year:number,metadata\n"
        "in/shoes/1.png,one,2024,\n"
        "\n"
        "in/hats/2.png,two,soon,\n"
        'in/hats/4.png,four,1,"{"\n'
        "in/hats/4.png,a b,1,\n"
        "in/hats/4.png,four,1,,beyond\n"
        ",five,1,\n"
        'in/hats/4.png,six,1,"{""a"": 1, ""a"": 2}"\n',
    )

    assert job["counts"] == {"created": 1, "failed": 6}
    details = [item["error"]["detail"] for item in items_of(client, job["id"], status="failed")]
    for detail, words in zip(
        details,
        (
            "line 4, column year: 'soon'",
            "line 5, column metadata",
            "line 6 'a b'",
            "line 7: column 5",
            "line 8: uri",
            "line 9, column metadata: the key /a is given more than once",
        ),
        strict=True,
    ):
        assert detail.startswith(words)


CSV_ROWS = "uri,id,brand\nin/shoes/1.png,a,Grün\nin/hats/2.png,b,\n"


@pytest.mark.parametrize(
    "content",
    [
        CSV_ROWS.encode(),
        CSV_ROWS.encode("utf-8-sig"),
        CSV_ROWS.encode("cp1252"),
        CSV_ROWS.encode("utf-16"),
        CSV_ROWS.encode("utf-16-le"),
        b"\xfe\xff" + CSV_ROWS.encode("utf-16-be"),
        CSV_ROWS.replace(",", ";").replace("\n", "\r\n").encode(),
        CSV_ROWS.replace(",", "\t").encode(),
        CSV_ROWS.replace(",", ", ").encode(),
        CSV_ROWS.replace("\n", ",\n").encode(),
        CSV_ROWS.replace("a,Grün", "a,Grün,").encode(),
        CSV_ROWS.replace("\n", "\r").encode(),
        CSV_ROWS.replace("uri,id", " URI ,Id").encode(),
        CSV_ROWS.replace("in/shoes/", "in\\shoes\\").encode(),
        ("sep=;\r\n" + CSV_ROWS.replace(",", ";")).encode(),
        ("\n" + CSV_ROWS + ",,\n\n").encode(),
        CSV_ROWS.replace("in/shoes/1.png", '"in/shoes/1.png"').encode(),
    ],
)
def test_a_csv_is_read_as_spreadsheets_write_it(client, worker, content):
    job = import_list(client, content)

    assert (job["status"], job["counts"]) == ("succeeded", {"created": 2})
    assert client.get("/images/a").json()["metadata"] == {"brand": "Grün"}
    assert client.get("/images/b").json()["metadata"] == {}


def test_a_column_of_a_csv_has_a_type_if_all_its_cells_have_it(client, worker):
    import_list(
        client,
        "uri,id,year,price,sold,code,mixed,zip:text,weight:number,big\n"
        'in/shoes/1.png,a,2024,-1.5,TRUE,007,1,12,"1,5",12345678901234567890\n'
        "in/hats/2.png,b,2020,3,false,12,x,34,2e3,\n",
    )

    assert client.get("/images/a").json()["metadata"] == {
        "year": 2024,
        "price": -1.5,
        "sold": True,
        "code": "007",
        "mixed": "1",
        "zip": "12",
        "weight": 1.5,
        "big": 12345678901234567890,
    }
    assert client.get("/images/b").json()["metadata"] == {
        "year": 2020,
        "price": 3,
        "sold": False,
        "code": "12",
        "mixed": "x",
        "zip": "34",
        "weight": 2000.0,
    }
    for condition in ({"range": {"gte": 2021}}, {"match": 2024}):
        wanted = {"must": [{"key": "year", **condition}]}
        found = client.get("/images", params={"filter": json.dumps(wanted)}).json()["items"]
        assert [item["id"] for item in found] == ["a"]


def test_ndjson_errors_name_the_line_and_big_integers_are_kept(client, worker):
    lines = [
        '{"uri": "in/shoes/1.png", "id": "a", "metadata": {"big": 12345678901234567890123}}',
        "",
        '{"uri": "in/hats/2.png", }',
        '{"uri": "in/hats/2.png", "colour": "red"}',
        '{"uri": "in/hats/2.png", "id": 7}',
        '{"uri": "in/hats/2.png", "metadata": {"x": NaN}}',
        '{"uri": "https://[bad/1.png"}',
        '{"uri": "in/hats/2.png", "metadata": {"x": 1, "x": 2}}',
    ]
    content = "\r\n".join(lines).encode("utf-8-sig")

    job = import_list(client, content, "application/x-ndjson")

    assert job["counts"] == {"created": 1, "failed": 6}
    assert client.get("/images/a").json()["metadata"] == {"big": 12345678901234567890123}
    details = [item["error"]["detail"] for item in items_of(client, job["id"], status="failed")]
    for detail, words in zip(
        details,
        (
            "line 3, column",
            "line 4 has 'colour'",
            "line 5: id",
            "line 6: the metadata",
            "fetching",
            "line 8: the key /metadata/x is given more than once",
        ),
        strict=True,
    ):
        assert detail.startswith(words)


def test_a_json_array_is_refused_with_advice(client, worker):
    job = import_list(client, '[\n{"uri": "in/shoes/1.png"}\n]', "application/x-ndjson")

    assert job["status"] == "failed"
    assert "one object per line" in job["error"]["detail"]


NFC, NFD = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))


def test_labels_in_different_normal_forms_are_equal(client, worker):
    files = {f"{NFD}/a.png": draw(1, size=32), f"{NFC}/b.png": draw(2, size=32)}
    finished(client, upload(client, zip_of(files)).json()["id"])
    import_list(client, f"uri,id,{NFD}\nin/shoes/3.png,c,{NFD}\n")

    for form in (NFC, NFD):
        for key, count in (("label", 2), (form, 1)):
            wanted = {"must": [{"key": key, "match": form}]}
            found = client.get("/images", params={"filter": json.dumps(wanted)}).json()["items"]
            assert len(found) == count


def test_changed_metadata_is_normalized_too(client):
    Api(client).add(draw(1), ids=["a"])

    answer = client.patch("/images/a", json={"metadata": {"label": NFD}})

    assert answer.json()["metadata"] == {"label": NFC}


def test_a_job_fails_if_every_picture_failed(client, worker):
    job = finished(client, upload(client, zip_of({f"{i}.png": b"no picture" for i in range(3)})).json()["id"])

    assert (job["status"], job["counts"]) == ("failed", {"failed": 3})
    assert job["error"]["code"] == "all_failed"
    assert "each of 3 items failed; the first is 0.png" in job["error"]["detail"]
    assert job["finished_at"] is not None
    assert client.post(f"/jobs/{job['id']}/retry").status_code == 202
    assert finished(client, job["id"])["status"] == "failed"


@pytest.mark.parametrize("files", [{}, {"folder/": b""}, {"__MACOSX/a.png": b"", "a/.DS_Store": b""}])
def test_an_import_without_pictures_fails(client, worker, files):
    job = finished(client, upload(client, zip_of(files)).json()["id"])

    assert (job["status"], job["error"]["code"]) == ("failed", "nothing_to_import")
    assert ("2 ignored ones" in job["error"]["detail"]) == ("__MACOSX/a.png" in files)


def test_another_picture_under_a_known_id_is_a_conflict(client, worker):
    import_list(client, "uri,id\nin/shoes/1.png,a\n")

    job = import_list(client, "uri,id\nin/shoes/1.png,a\nin/hats/2.png,a\n")

    assert (job["status"], job["counts"]) == ("succeeded", {"conflict": 1, "unchanged": 1})
    [item] = items_of(client, job["id"], status="conflict")
    assert (item["id"], item["error"]["code"]) == ("a", "id_exists")


def test_ignored_files_of_an_archive_are_counted(client, worker):
    files = {"a.png": draw(1), "__MACOSX/._a.png": b"x", "Thumbs.db": b"x"}

    job = finished(client, upload(client, zip_of(files)).json()["id"])

    assert (job["counts"], job["result"]) == ({"created": 1}, {"ignored": 2})


def test_a_file_with_an_undecodable_name_is_imported_and_read_again(client, worker, root):
    name = b"k\xe4fer \n.png"
    (Path(os.fsdecode(bytes(root / "in") + b"/" + name))).write_bytes(draw(50, size=32))
    (root / "in" / "s3: mine.png").write_bytes(draw(51, size=32))
    (root / "in" / "Thumbs.db").write_bytes(b"left by Windows")

    job = finished(client, client.post("/admin/jobs/index", json={"folder": "in"}).json()["id"])

    assert job["counts"] == {"created": 12}
    assert {r"in/k\xe4fer \n.png", "in/s3: mine.png"} <= set(listed(client))


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
def test_folders_and_prefixes_that_may_not_be_read_are_refused(client, body, code):
    assert_problem(client.post("/admin/jobs/index", json=body), 422, code)


def test_each_url_is_refused_if_fetching_is_disabled(client, worker):
    answer = client.post("/admin/jobs/index", json={"urls": ["http://127.0.0.1/a.png", "ftp://x/y"]})

    job = finished(client, answer.json()["id"])

    assert job["counts"] == {"failed": 2}
