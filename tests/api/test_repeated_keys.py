"""A key that is given twice in a JSON object is refused wherever JSON comes from a caller."""

import json

import pytest

from app.api.app import create_app
from app.settings import Settings
from tests.api.conftest import assert_problem, draw, local_client

PICTURE = draw(1)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = Settings(data_dir=tmp_path_factory.mktemp("repeated"), decode_children=1)
    with local_client(create_app(settings, load_first=True), raise_server_exceptions=False) as client:
        client.put("/images/stored", content=PICTURE)
        yield client


def example_of(content: dict, document: dict) -> dict:
    """An example of a JSON body, from the document of the service."""
    schema = content["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for example in content.get("examples", {}).values():
        return example["value"]
    if "examples" in schema:
        return schema["examples"][0]
    return {name: schema["properties"][name]["examples"][0] for name in schema.get("required", ["description"])}


def test_every_json_body_with_a_repeated_key_is_refused(client):
    document = client.get("/openapi.json").json()
    tried = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                if kind != "application/json":
                    continue
                body = example_of(content, document) or {"overlap_s": 1}
                name, value = next(iter(body.items()))
                text = f"{json.dumps(body)[:-1]}, {json.dumps(name)}: {json.dumps(value)}}}"
                address = path.format(image_id="stored", name="default", key_id="k")
                answer = client.request(
                    method.upper(), address, content=text, headers={"content-type": "application/json"}
                )
                assert_problem(answer, 422, "validation_failed")
                assert answer.json()["errors"] == [
                    {"pointer": f"/{name}", "detail": "is given more than once; send it once"}
                ], (path, answer.text)
                tried += 1
    assert tried > 20


@pytest.mark.parametrize(
    ("method", "path", "request_", "pointer"),
    [
        (
            "POST", "/search/query",
            {"content": '{"image_id": "stored", "filter": {"must": [{"key": "a", "key": "b", "match": 1}]}}'},
            "/filter/must/0/key",
        ),
        ("PATCH", "/images/stored", {"content": '{"metadata": {"x/y": 1, "x/y": 1}}'}, "/metadata/x~1y"),
        # The inner object is dropped with the first value of the outer key.
        ("PATCH", "/images/stored", {"content": '{"metadata": {"a": 1, "a": 2}, "metadata": {}}'}, "/metadata"),
        (
            "POST", "/search",
            {"files": {"file": PICTURE}, "data": {"filter": '{"must": [], "must": []}'}}, "/filter/must",
        ),
        (
            "POST", "/search",
            {"files": {"file": PICTURE}, "data": {"crop": '{"x": 0, "x": 0, "y": 0, "width": 1, "height": 1}'}},
            "/crop/x",
        ),
        (
            "POST", "/index",
            {"files": {"files": PICTURE}, "data": {"metadata": '[{"a": 1, "a": 2}]'}}, "/metadata/0/a",
        ),
        (
            "PUT", "/images/x",
            {"files": {"file": PICTURE}, "data": {"metadata": '{"a": 1, "a": 2}'}}, "/metadata/a",
        ),
        ("GET", "/images", {"params": {"filter": '{"must": [], "must": []}'}}, "/filter/must"),
        ("GET", "/duplicates", {"params": {"filter": '{"must": [], "must": []}'}}, "/filter/must"),
        # Of keys that no answer and no row can contain, or that are as long as a body, a readable part.
        ("GET", "/images", {"params": {"filter": r'{"\ud800": 1, "\ud800": 2}'}}, r"/filter/\ud800"),
        ("POST", "/collections", {"content": r'{"name": "x", "a\u0000": 1, "a\u0000": 2}'}, r"/a\0"),
        ("POST", "/collections", {"content": r'{"name": "x", "\ud800": 1, "\ud800": 2}'}, r"/\ud800"),
        (
            "POST", "/index",
            {"files": {"files": PICTURE}, "data": {"metadata": r'[{"a\u0000": 1, "a\u0000": 2}]'}},
            r"/metadata/0/a\0",
        ),
        (
            "PATCH", "/images/stored",
            {"content": f'{{"metadata": {{"{"k" * 9_000}": 1, "{"k" * 9_000}": 2}}}}'},
            f"/metadata/{'k' * 246}",
        ),
    ],
)  # fmt: skip
def test_the_error_points_at_the_key(client, method, path, request_, pointer):
    headers = {"content-type": "application/json"} if "content" in request_ else {}

    answer = client.request(method, path, headers=headers, **request_)

    assert_problem(answer, 422, "validation_failed")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_large_body_is_checked_too(client):
    ids = json.dumps([f"missing-{i}" for i in range(9_000)])

    answer = client.post(
        "/images/delete",
        content=f'{{"ids": {ids}, "ids": ["stored"]}}',
        headers={"content-type": "application/json"},
    )

    assert_problem(answer, 422, "validation_failed")
    assert client.get("/images/stored").status_code == 200
