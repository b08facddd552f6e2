"""Typical mistakes: each answer says how to mend the request, in the words that docs/api.md shows."""

import json
import re
from pathlib import Path

import pytest

from app.api.app import create_app
from app.settings import Settings
from tests.api.conftest import assert_problem, draw, local_client

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
PICTURE = draw(1)
LIBRARY_PHRASES = ("Input should", "Field required", "Extra inputs", "Value error", "JSON decode", "parsing")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = Settings(data_dir=tmp_path_factory.mktemp("mistakes"), decode_children=1)
    with local_client(create_app(settings, load_first=True), raise_server_exceptions=False) as client:
        client.put("/images/sku-88", content=PICTURE)
        yield client


def body(text: str | bytes, kind: str = "application/json") -> dict:
    return {"content": text, "headers": {"content-type": kind}}


MISTAKES = {
    "a misspelt field": ("POST", "/search", {"json": {"image_id": "sku-88", "limt": 3}}),
    "a misspelt form field": (
        "POST",
        "/search",
        {"files": {"file": PICTURE}, "data": {"colection": "default"}},
    ),
    "the file in the wrong form field": ("POST", "/search", {"files": {"image": PICTURE}}),
    "`file` instead of `files`": ("POST", "/index", {"files": {"file": PICTURE}}),
    "two files where one is expected": ("POST", "/search", {"files": [("file", PICTURE), ("file", PICTURE)]}),
    "a raw JPEG": ("POST", "/search", body(PICTURE, "image/jpeg")),
    "a large raw JPEG": ("POST", "/search", body(PICTURE + bytes(2_500_000), "image/jpeg")),
    "`curl -d` without a header": (
        "POST",
        "/collections",
        body('{"name": "shop"}', "application/x-www-form-urlencoded"),
    ),
    "a form where JSON is read": ("POST", "/search/batch", {"files": {"file": PICTURE}}),
    "JSON that ends too early": ("POST", "/search", body('{"image_id": "sku-88"')),
    "an empty body": ("POST", "/search", body("")),
    "an array instead of an object": ("POST", "/collections", {"json": []}),
    "a missing field": ("POST", "/collections", {"json": {"model": "lite2-256"}}),
    "a number out of range": ("POST", "/search", {"json": {"image_id": "sku-88", "limit": 5000}}),
    "text instead of a number": ("GET", "/images?limit=ten", {}),
    "an unknown choice": ("POST", "/search", {"json": {"image_id": "sku-88", "rank": "hammming"}}),
    "no query at all": ("POST", "/search", {"json": {}}),
    "a filter without conditions": (
        "POST",
        "/search",
        {"json": {"image_id": "sku-88", "filter": {"brand": "acme"}}},
    ),
    "a crop in pixels": ("POST", "/search", {"files": {"file": PICTURE}, "data": {"crop": "10,10,50,50"}}),
    "a misspelt query parameter": ("GET", "/images?limt=3", {}),
    "a body field in the query": ("POST", "/search?limit=3", {"files": {"file": PICTURE}}),
    "a misspelt path": ("GET", "/image/sku-88", {}),
    "a trailing slash": ("POST", "/search/", {"files": {"file": PICTURE}}),
    "the wrong method": ("GET", "/search", {}),
    "an unknown collection": ("GET", "/images?collection=shop", {}),
    "an unknown picture": ("GET", "/images/sku-89", {}),
    "a URL that may not be fetched": ("POST", "/search", {"json": {"url": "https://pictures.example/a.jpg"}}),
    "a body that is too large": ("POST", "/search", body(b'{"code": "' + b"0" * 2_000_000 + b'"}')),
    "too many files": ("POST", "/index", {"files": [("files", PICTURE)] * 33}),
    "a file that is not a picture": ("POST", "/search", {"files": {"file": b"hello"}}),
}


def row(name: str, answer) -> str:
    problem = answer.json()
    return f"| {name} | {problem['status']} `{problem['code']}` | {problem['detail']} |"


@pytest.mark.parametrize("name", MISTAKES)
def test_the_answer_to_a_typical_mistake_is_the_documented_one(client, name):
    method, path, request = MISTAKES[name]

    answer = client.request(method, path, follow_redirects=False, **request)

    problem = assert_problem(answer, answer.status_code, answer.json()["code"])
    assert 400 <= answer.status_code < 500
    assert not any(phrase in answer.text for phrase in LIBRARY_PHRASES)
    assert row(name, answer) in DOCS.read_text(), f"docs/api.md lacks this row:\n{row(name, answer)}"
    assert json.loads(answer.text)["errors"] == problem["errors"]


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/serach", "/search"),
        ("/jobs/1/event", "/jobs/1/events"),
        ("/image", "/images"),
        ("/helthz", "/healthz"),
    ],
)
def test_an_unknown_path_names_the_nearest_one(client, prefix, path, meant):
    problem = assert_problem(client.get(prefix + path), 404, "not_found")

    assert f"did you mean {prefix}{meant}?" in problem["detail"]


def test_a_path_like_no_other_names_none(client):
    detail = assert_problem(client.get("/wp-login.php"), 404, "not_found")["detail"]

    assert "did you mean" not in detail
    assert "/docs" in detail


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/images", "GET, HEAD, OPTIONS"),
        ("POST", "/images/sku-88", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"),
        ("PUT", "/index", "POST, OPTIONS"),
        ("POST", "/v1/collections/default", "GET, HEAD, PATCH, DELETE, OPTIONS"),
    ],
)
def test_a_wrong_method_is_answered_with_all_that_are_allowed(client, method, path, allowed):
    answer = client.request(method, path)

    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


def test_several_errors_are_counted_and_listed(client):
    answer = client.post("/search", json={"image_id": "sku-88", "limit": 0, "min_score": 2, "rank": 1})

    problem = assert_problem(answer, 422, "validation_failed")
    assert problem["detail"] == "Field `limit` must be at least 1, not 0. (2 more in `errors`)"
    assert [error["pointer"] for error in problem["errors"]] == ["/limit", "/min_score", "/rank"]


@pytest.mark.parametrize(
    ("path", "given", "nearest"),
    [
        ("/search/batch", {"queries": [{"image": "sku-88"}]}, "`image_id`"),
        ("/search", {"images": [{"image_id": "sku-88", "sgn": "+"}]}, "`sign`"),
        ("/search", {"url": "http://x/y.jpg", "crop": {"x": 0, "y": 0, "width": 1, "hight": 1}}, "`height`"),
        ("/images/delete", {"id": ["sku-88"]}, "`ids`"),
        ("/admin/jobs/train", {"collection": "default", "nme": "x"}, "`name`"),
    ],
)
def test_a_nested_field_is_corrected_by_the_fields_of_its_own_object(client, path, given, nearest):
    problem = assert_problem(client.post(path, json=given), 422, "validation_failed")

    assert any(f"did you mean {nearest}?" in error["detail"] for error in problem["errors"])


def test_a_field_of_a_crop_in_a_form_is_corrected(client):
    crop = json.dumps({"x": 0, "y": 0, "wdth": 1, "height": 1})
    answer = client.post("/search", files={"file": PICTURE}, data={"crop": crop})

    problem = assert_problem(answer, 422, "validation_failed")
    assert {"pointer": "/crop/wdth", "detail": "is unknown; did you mean `width`?"} in problem["errors"]


@pytest.mark.parametrize("path", ["/jobs/none/cancel", "/session"])
def test_an_empty_body_of_any_media_type_is_accepted_where_none_is_read(client, path):
    answer = client.post(path, **body("", "application/x-www-form-urlencoded"))

    assert answer.status_code in {204, 404}


@pytest.mark.parametrize("path", ["/search", "/search/query", "/search/batch", "/images/delete"])
def test_a_number_of_thousands_of_digits_gets_a_hint(client, path):
    answer = client.post(path, **body('{"limit": ' + "9" * 5_000 + "}"))

    problem = assert_problem(answer, 400, "bad_request")
    assert "too many digits" in problem["detail"]
    assert "as text" in problem["detail"]


NUMBERS = [
    ("integer", ["1_0", "5.0", "+5", " 5", "0x5", "05", "00", "-01", "٥", ""]),
    ("number", ["1_0", "0_0.5", "+0.5", " 0.5", "00.5", "01", "nan", "inf", "٠", ""]),
]
BOOLEANS = ("boolean", ["1", "0", "yes", "no", "on", "off", "t", "f", "y", " true", ""])


@pytest.mark.parametrize(("kind", "texts"), [*NUMBERS, BOOLEANS])
def test_a_number_or_boolean_in_a_query_is_written_as_in_json(client, kind, texts):
    tried = 0
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", []):
                if parameter["in"] != "query" or f'"type": "{kind}"' not in json.dumps(parameter["schema"]):
                    continue
                address = path.format(image_id="sku-88", name="default", job_id="none")
                for text in texts:
                    answer = client.request(method.upper(), address, params={parameter["name"]: text})
                    assert_problem(answer, 422, "validation_failed")
                    # A missing body is a second error.
                    assert f"/query/{parameter['name']}" in [e["pointer"] for e in answer.json()["errors"]]
                tried += 1
    assert tried >= {"integer": 10, "number": 4, "boolean": 9}[kind]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("limit", "integer"), ("max_distance", "integer"), ("orientations", "integer"),
        ("min_score", "number"), ("diversify", "number"), ("colour", "number"),
    ],
)  # fmt: skip
def test_a_number_in_a_form_is_written_in_plain_digits(client, name, kind):
    for text in dict(NUMBERS)[kind]:
        answer = client.post("/search", files={"file": PICTURE}, data={name: text})
        assert_problem(answer, 422, "validation_failed")
        assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}"]
    assert client.post("/search", files={"file": PICTURE}, data={name: "1"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "file", "name"), [("/index", "files", "suggest"), ("/index/upload", "archive", "label")]
)
def test_a_boolean_in_a_form_is_true_or_false(client, path, file, name):
    for text in BOOLEANS[1]:
        problem = assert_problem(
            client.post(path, files={file: PICTURE}, data={name: text}), 422, "validation_failed"
        )
        assert problem["errors"] == [{"pointer": f"/{name}", "detail": f"must be true or false, not {text!r}"}]


def test_the_booleans_of_forms_and_queries_are_accepted(client):
    for text in ("true", "false", "True", "False"):
        assert client.post("/index", files={"files": PICTURE}, data={"suggest": text}).is_success
        assert client.get("/images", params={"absolute_urls": text}).status_code == 200


WRONG_TYPES = {"integer": ["5", "05", True], "number": ["0.5", False], "boolean": [0, 1, 1.0, "true", "yes"]}


def test_numbers_and_booleans_in_a_json_body_have_their_types(client):
    document = client.get("/openapi.json").json()
    tried = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None or "$ref" not in content["schema"]:
                continue
            schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
            for name, field in schema.get("properties", {}).items():
                kinds = {one.get("type") for one in field.get("anyOf", [field])} - {"null"}
                for value in WRONG_TYPES.get(next(iter(kinds)), []) if len(kinds) == 1 else []:
                    address = re.sub(r"\{.*?\}", "default", path)
                    answer = client.request(method.upper(), address, json={name: value})
                    assert answer.status_code == 422, (path, name, value, answer.text)
                    assert f"/{name}" in [error["pointer"] for error in answer.json()["errors"]]
                    tried.add((path, name))
    assert len(tried) > 20


def test_small_decimal_numbers_may_have_an_exponent(client):
    assert client.get("/images/sku-88/similar?diversify=1e-05&colour=.5").status_code == 200
