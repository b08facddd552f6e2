"""Forms and bodies that are cut, repeated, misplaced or unusual: understood whole, or refused."""

import json
import uuid

import pytest

from app.api.app import create_app
from app.settings import Settings
from tests.api.conftest import assert_problem, draw, local_client
from tests.fixtures.archives import zip_of

PICTURE = draw(1)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = Settings(data_dir=tmp_path_factory.mktemp("forms"), decode_children=1)
    with local_client(create_app(settings, load_first=True), raise_server_exceptions=False) as client:
        client.put("/images/stored", content=draw(9))
        yield client


@pytest.fixture
def collection(client):
    name = f"c-{uuid.uuid4().hex[:8]}"
    client.post("/collections", json={"name": name})
    return name


def part(head: str, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return f"Content-Disposition: form-data; {head}\r\n\r\n".encode() + content


def form(*parts: bytes, end: bytes = b"--zz--\r\n") -> bytes:
    return b"".join(b"--zz\r\n" + p + b"\r\n" for p in parts) + end


def send(client, path: str, body: bytes, method: str = "POST"):
    return client.request(
        method, path, content=body, headers={"content-type": "multipart/form-data; boundary=zz"}
    )


def count(client, collection: str) -> int:
    return len(client.get("/images", params={"collection": collection}).json()["items"])


FORMS = [
    ("POST", "/search", form(part('name="file"; filename="a.png"', PICTURE))),
    ("POST", "/compare", form(part('name="first"', "stored"), part('name="second"; filename="a"', PICTURE))),
    ("POST", "/index", form(part('name="files"; filename="a.png"', PICTURE))),
    ("POST", "/index", form(part('name="archive"; filename="a.zip"', zip_of({"a.png": PICTURE})))),
    ("POST", "/admin/jobs/index", form(part('name="archive"; filename="a"', zip_of({"a.png": PICTURE})))),
    ("PUT", "/images/put", form(part('name="file"; filename="a.png"', PICTURE))),
]


@pytest.mark.parametrize(("method", "path", "body"), FORMS)
def test_a_form_without_its_closing_boundary_is_refused_wherever_it_was_cut(client, method, path, body):
    jobs = client.get("/jobs").json()["items"]
    before = count(client, "default")
    whole = body.rindex(b"--zz--")
    for cut in (0, 1, 30, whole // 2, whole - 2, whole, whole + 4, whole + 5):
        answer = send(client, path, body[:cut], method)
        assert_problem(answer, 400, "bad_request")
    assert count(client, "default") == before
    assert client.get("/jobs").json()["items"] == jobs


@pytest.mark.parametrize(("method", "path", "body"), FORMS[:1] + FORMS[-1:])
@pytest.mark.parametrize("end", [b"--zz--", b"--zz--\r\n", b"--zz--\r\nan epilogue"])
def test_whatever_follows_the_closing_boundary_is_ignored(client, method, path, body, end):
    answer = send(client, path, body.removesuffix(b"--zz--\r\n") + end, method)

    assert answer.status_code in {200, 201}


def test_a_cut_form_adds_none_of_its_files(client, collection):
    files = [part(f'name="files"; filename="{i}.png"', draw(i)) for i in range(3)]
    body = form(part('name="collection"', collection), *files)

    assert_problem(send(client, "/index", body[:-200]), 400, "bad_request")
    assert count(client, collection) == 0
    assert send(client, "/index", body).json()["counts"] == {"created": 3}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/search"),
        ("POST", "/search/batch"),
        ("POST", "/compare"),
        ("POST", "/index"),
        ("POST", "/images/delete"),
        ("PATCH", "/images/stored"),
        ("POST", "/collections"),
        ("POST", "/admin/jobs/index"),
        ("POST", "/admin/restore"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{", b'{"ids": ["stored"', b'{"filter": {"must": [}'])
def test_cut_json_is_refused(client, method, path, body):
    answer = client.request(method, path, content=body, headers={"content-type": "application/json"})

    assert answer.status_code in {400, 422}, answer.text
    assert client.get("/images/stored").status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        'name="file"',
        'name="file"\r\nContent-Type: image/png',
        "name=\"file\"; filename*=UTF-8''na%C3%AFve.png",
        "name=\"file\"; filename*=no-such-charset''a%22.png",
        'name="file"; filename*=damaged',
        'name="file"; filename=""',
        'name="file"; filename="a;b.png"\r\nContent-Transfer-Encoding: binary',
    ],
)
def test_a_part_with_a_file_s_name_is_a_file_whatever_its_head_lacks(client, head):
    for method, path in (("POST", "/search"), ("PUT", "/images/named")):
        answer = send(client, path, form(part(head, PICTURE)), method)
        assert answer.status_code in {200, 201}, answer.text
    files = form(part(head.replace('"file"', '"files"'), PICTURE))
    assert send(client, "/index", files).status_code in {200, 201}
    archive = form(part(head.replace('"file"', '"archive"'), zip_of({"a.png": PICTURE})))
    assert send(client, "/index", archive).status_code == 202
    both = form(part('name="first"', "stored"), part(head.replace('"file"', '"second"'), PICTURE))
    assert send(client, "/compare", both).status_code == 200


def test_a_large_file_without_a_file_name_is_a_file(client):
    large = draw(3, size=1500, kind="PNG", compress_level=0)
    assert len(large) > 1_100_000

    assert send(client, "/search", form(part('name="file"', large))).status_code == 200


def test_a_transfer_encoding_of_a_part_is_refused(client):
    encoded = part('name="file"; filename="a"\r\nContent-Transfer-Encoding: base64', b"aGVsbG8=")

    body = assert_problem(send(client, "/search", form(encoded)), 400, "bad_request")
    assert "Content-Transfer-Encoding" in body["detail"]


@pytest.mark.parametrize("charset", ["undefined", "punycode", "utf-16", "utf-7", "idna", "hex", "none-such"])
def test_a_form_in_another_charset_is_refused(client, charset):
    head = {"content-type": f"multipart/form-data; boundary=zz; charset={charset}"}
    body = form(part('name="file"; filename="a.png"', PICTURE), part('name="limit"', "5"))
    assert_problem(client.post("/search", content=body, headers=head), 400, "bad_request")


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "ISO-8859-1", "us-ascii"])
def test_a_charset_that_clients_add_is_understood(client, charset):
    head = {"content-type": f"multipart/form-data; boundary=zz; charset={charset}"}
    body = form(part('name="file"; filename="a.png"', PICTURE), part('name="limit"', "1"))
    answer = client.post("/search", content=body, headers=head)
    assert answer.status_code == 200
    assert answer.json()["query"]["bits"] == 256


@pytest.mark.parametrize("charset", ["undefined", "idna", "a\0b", "none-such", "utf-16", "UTF-8", ""])
def test_a_file_name_in_any_charset_is_no_reason_to_fail(client, charset):
    body = form(part(f"name=\"file\"; filename*={charset}''%41%ff.png", PICTURE))
    assert send(client, "/search", body).status_code == 200


def test_text_that_is_not_utf_8_is_refused_and_not_read_as_latin_1(client, collection):
    fields = [part('name="metadata"', b'[{"city": "K\xf6ln"}]'), part('name="collection"', collection)]
    answer = send(client, "/index", form(*fields, part('name="files"; filename="a.png"', PICTURE)))
    assert_problem(answer, 422, "validation_failed")
    assert "UTF-8" in answer.json()["detail"]
    assert count(client, collection) == 0


def test_json_sent_as_a_blob_is_understood(client, collection):
    blob = 'name="{}"; filename="blob"\r\nContent-Type: application/json'
    body = form(
        part('name="files"; filename="a"', PICTURE),
        part(blob.format("metadata"), json.dumps([{"brand": "acme"}])),
        part(blob.format("ids"), '["blobbed"]'),
        part('name="collection"', collection),
    )

    assert send(client, "/index", body).status_code == 201
    stored = client.get("/images/blobbed", params={"collection": collection}).json()
    assert stored["metadata"] == {"brand": "acme"}


@pytest.mark.parametrize(
    "parts",
    [
        [part('name="limit"', "1"), part('name="limit"', "2")],
        [part('name="collection"; filename="c"\r\nContent-Type: image/png', "default")],
        [part('name="collection"; filename="c"', b"\xff")],
        [part('name="unheard_of"', "1")],
        [part('name="unheard_of"; filename="a.png"', PICTURE)],
    ],
)
def test_a_part_that_is_repeated_or_not_understood_is_refused(client, parts):
    body = form(part('name="file"; filename="a"', PICTURE), *parts[:1])
    if len(parts) == 2:
        body = form(part('name="file"; filename="a"', PICTURE), *parts)

    answer = send(client, "/search", body)
    assert answer.status_code in {400, 422}, answer.text
    assert answer.json()["code"] in {"bad_request", "validation_failed"}


def test_two_pictures_to_search_with_are_refused(client):
    twice = form(*[part('name="file"; filename="a"', PICTURE)] * 2)

    assert send(client, "/search", twice).status_code in {400, 422}


def test_an_import_takes_its_options_from_the_query_with_any_body(client, collection):
    archive = zip_of({"a/a.png": PICTURE})
    options = {"collection": collection, "label": "false", "on_duplicate": "replace"}
    raw = client.post("/index", params=options, content=archive, headers={"content-type": "application/zip"})
    whole = client.post("/index", params=options, files={"archive": ("a.zip", archive)})

    for answer in (raw, whole):
        job = answer.json()
        assert job["collection"] == collection
        assert (job["arguments"]["label"], job["arguments"]["on_duplicate"]) == (False, "replace")
    files = client.post("/index", params={"collection": collection}, files={"files": ("a", PICTURE)})
    assert files.status_code == 201
    assert count(client, collection) == 1


def test_an_option_in_the_query_and_in_the_body_is_refused(client, collection):
    query, body = {"collection": collection}, {"collection": "default"}
    for answer in (
        client.post("/index", params=query, data=body, files={"files": ("a", PICTURE)}),
        client.post("/index", params=query, data=body, files={"archive": ("a", b"")}),
        client.post("/index", params=query, json={"folder": "a", **body}),
    ):
        assert assert_problem(answer, 422, "validation_failed")["errors"][0]["pointer"] == "/collection"


def test_an_unknown_query_parameter_is_refused_on_every_route(client):
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method in operations:
            address = path.replace("{image_id}", "stored").replace("{", "").replace("}", "")
            read = operations[method].get("requestBody", {}).get("content", {})
            # The media type is checked before the query.
            takes_forms_only = set(read) == {"multipart/form-data"}
            body = {"files": {"archive": ("a.zip", b"PK")}} if takes_forms_only else {"json": {}}
            for prefix in ("", "/v1"):
                answer = client.request(method, f"{prefix}{address}?collectoin=x", **body)
                assert answer.status_code == 422, (method, address, answer.text)
                # Where a body is needed too, its absence may be told first.
                if "/query/collectoin" not in answer.text:
                    assert (
                        "body" in operations[method].get("requestBody", {})
                        or "requestBody" in operations[method]
                    )


def test_a_repeated_query_parameter_is_refused_on_every_route(client):
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method in operations:
            for query in ("collection=a&collection=b", "x=1&x=1", "x&%78"):
                answer = client.request(method, f"{path}?{query}")
                assert_problem(answer, 400, "bad_request")


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key", "If-Match", "Origin", "X-API-Key"],
)
def test_a_repeated_header_of_which_one_value_is_read_is_refused(client, name):
    headers = [(name, "a"), (name.lower(), "b")]

    for method, path in (
        ("GET", "/info"),
        ("POST", "/search"),
        ("PATCH", "/images/stored"),
        ("GET", "/nowhere"),
    ):
        answer = client.request(method, path, headers=headers)
        assert_problem(answer, 400, "bad_request")
        assert answer.json()["errors"][0]["pointer"] == f"/headers/{name.lower()}"
    assert client.get("/info", headers=[("Accept", "a/b"), ("Accept", "*/*")]).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip"])
def test_a_body_in_a_content_coding_is_refused(client, coding):
    answer = client.post("/search", content=b"x", headers={"content-encoding": coding})

    assert_problem(answer, 415, "unsupported_media_type")
