"""The OpenAPI document: complete, checked in, and true of the running service."""

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from app.api.app import create_app
from app.api.problems import ERROR_CODES
from app.domain.access import Scope
from tests.api.conftest import assert_problem, draw, local_client
from tests.api.test_access import make_key
from tests.fixtures.archives import zip_of
from tools.openapi import TARGET, document_text

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def document():
    return json.loads(document_text())


@pytest.fixture(scope="module")
def operations(document):
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def bodies(operation: dict) -> dict:
    return operation.get("requestBody", {}).get("content", {})


def test_the_checked_in_document_is_current():
    assert TARGET.read_text(encoding="utf-8") == document_text(), (
        "run `make openapi` and commit docs/openapi.json"
    )


def test_every_field_and_every_parameter_has_a_description(document, operations):
    lacking = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if not described.get("description")
    ]
    lacking += [
        f"{name}: {parameter['name']}"
        for name, operation in operations.items()
        for parameter in operation.get("parameters", ())
        if not parameter.get("description")
    ]
    assert not lacking, "describe them in Field(...), or in app/api/field_descriptions.py"


def test_operation_ids_are_distinct_and_read_as_names(operations):
    ids = [operation["operationId"] for operation in operations.values()]

    assert len(set(ids)) == len(ids)
    assert not [one for one in ids if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", one)]


def test_every_tag_is_described(document, operations):
    described = {tag["name"] for tag in document["tags"] if tag["description"]}

    assert {tag for operation in operations.values() for tag in operation["tags"]} == described


def test_every_operation_documents_the_problem_that_it_answers(document, operations):
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            if status >= "400":
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, name
        assert "422" in operation["responses"], name
    schemas = document["components"]["schemas"]
    assert "HTTPValidationError" not in schemas
    assert schemas["Problem"]["properties"]["code"]["$ref"] == "#/components/schemas/ErrorCode"
    assert schemas["ErrorCode"]["enum"] == list(ERROR_CODES)


def test_every_code_in_the_source_is_documented():
    source = "\n".join(path.read_text() for path in (REPOSITORY / "app" / "api").rglob("*.py"))
    written = re.findall(r'problem\(\s*\d{3},\s*"(\w+)"', source)

    assert written
    assert set(written) <= set(ERROR_CODES)


def test_each_operation_takes_one_media_type(operations):
    assert not [name for name, operation in operations.items() if len(bodies(operation)) > 1]


def test_every_example_validates(document, operations):
    checked = 0
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            validate(document, {"$ref": f"#/components/schemas/{name}"}, example)
            checked += 1
    for operation in operations.values():
        contents = [bodies(operation)] + [r.get("content", {}) for r in operation["responses"].values()]
        for content in contents:
            for body in content.values():
                examples = [e["value"] for e in body.get("examples", {}).values()]
                examples += [body["example"]] if "example" in body and "schema" in body else []
                for example in examples:
                    validate(document, body["schema"], example)
                    checked += 1
    assert checked > 50


def validate(document: dict, schema: dict, example: object) -> None:
    jsonschema_rs.validator_for(schema | {"components": document["components"]}).validate(example)


def test_the_documentation_page_fills_in_no_field_that_restricts_the_answer(operations):
    restricting = {"max_distance", "min_score", "filter", "crop"}
    for operation in operations.values():
        for content in bodies(operation).values():
            first = next(iter(content.get("examples", {}).values()), {}).get(
                "value", content.get("example", {})
            )
            if "search" in operation["tags"]:
                assert not restricting & first.keys()


def test_a_form_with_every_field_as_the_page_fills_it_in_finds_as_much_as_without(document, client):
    for seed in range(3):
        client.put(f"/images/{seed}", content=draw(seed))
    fields = document["components"]["schemas"]["SearchUpload"]["properties"]
    filled = {
        name: field["examples"][0] if "examples" in field else field["default"]
        for name, field in fields.items()
        if name != "file"
    }

    plain = client.post("/search", files={"file": draw(1)}).json()
    found = client.post("/search", files={"file": draw(1)}, data=filled).json()

    assert len(plain["items"]) == 3
    assert [item["id"] for item in found["items"]] == [item["id"] for item in plain["items"]]


def test_first_examples_find_something_in_the_sample_gallery(operations, client):
    for seed, name in enumerate(("sunset-01", "sunset-02")):
        client.put(f"/images/{name}", content=draw(seed))
    for path in ("/search/query", "/search/batch", "/compare/stored"):
        content = bodies(operations[f"POST {path}"])["application/json"]
        answer = client.post(path, json=next(iter(content["examples"].values()))["value"])

        assert answer.status_code == 200, answer.text
        assert answer.json().get("items") != []
    picture = operations["GET /images/{image_id}"]["parameters"][0]["example"]
    assert client.get(f"/images/{picture}").status_code == 200


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_json_queries_have_a_path_of_their_own(client, prefix):
    client.put("/images/a", content=draw(1))
    client.put("/images/b", content=draw(2))

    found = client.post(f"{prefix}/search/query", json={"image_id": "a", "limit": 1})
    assert [item["id"] for item in found.json()["items"]] == ["a"]
    following = client.post(f"{prefix}/search/query", json={"cursor": found.json()["next_cursor"]})
    assert [item["id"] for item in following.json()["items"]] == ["b"]
    same = client.post("/search", json={"image_id": "a", "limit": 1})
    assert same.json()["items"] == found.json()["items"]
    compared = client.post(f"{prefix}/compare/stored", json={"first": "a", "second": "b"})
    assert (
        compared.json()["distance"]
        == client.post("/compare", json={"first": "a", "second": "b"}).json()["distance"]
    )


def test_a_search_key_may_send_json_queries_and_start_no_import(settings):
    key = make_key(settings, Scope.SEARCH).text
    with local_client(create_app(settings, load_first=True)) as client:
        client.headers["authorization"] = f"Bearer {key}"

        for path, body in (
            ("/search/query", {"image_id": "a"}),
            ("/compare/stored", {"first": "a", "second": "b"}),
        ):
            assert_problem(client.post(path, json=body), 404, "unknown_image")
        for path in ("/index/import", "/v1/index/upload"):
            assert_problem(client.post(path, json={"folder": "x"}), 403, "forbidden")


LISTS = {
    "pictures.csv": b"uri,id\nhttps://pictures.example/1.jpg,one\n",
    "pictures.ndjson": b'{"uri": "https://pictures.example/1.jpg", "id": "one"}\n',
    "PICTURES.JSONL": b'{"uri": "https://pictures.example/1.jpg", "id": "one"}\n',
}


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_an_import_has_paths_of_its_own(client, prefix):
    archive = {"archive": ("a.zip", zip_of({"a.png": draw(1)}))}

    uploaded = client.post(f"{prefix}/index/upload", files=archive, data={"on_duplicate": "replace"})
    assert uploaded.status_code == 202
    assert uploaded.json()["arguments"]["on_duplicate"] == "replace"
    refused = client.post(f"{prefix}/index/import", json={"folder": "shoes"})
    assert "LOOKALIKE_IMPORT_ROOT" in assert_problem(refused, 422, "url_not_allowed")["detail"]


@pytest.mark.parametrize("path", ["/index/upload", "/index", "/admin/jobs/index"])
@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_references_may_be_a_file_of_a_form(client, path, name):
    answer = client.post(path, files={"list": (name, LISTS[name], "application/octet-stream")})

    assert answer.status_code == 202, answer.text
    assert answer.json()["arguments"]["name"] == name


def test_a_list_of_an_unknown_kind_is_refused(client):
    answer = client.post("/index/upload", files={"list": ("pictures.xlsx", b"PK")})

    problem = assert_problem(answer, 422, "validation_failed")
    assert problem["errors"][0]["pointer"] == "/list"
    assert ".csv" in problem["detail"]


def test_an_import_form_without_a_file_is_refused(client):
    assert_problem(client.post("/index/upload", data={}, files={"list2": b""}), 422, "validation_failed")


@pytest.mark.parametrize("kind", ["application/zip", "application/json"])
def test_an_upload_of_an_archive_needs_a_form(client, kind):
    answer = client.post("/index/upload", content=b"PK", headers={"content-type": kind})

    assert "`archive`" in assert_problem(answer, 415, "unsupported_media_type")["detail"]
    assert client.get("/jobs").json()["items"] == []
