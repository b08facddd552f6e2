"""JSON has a small cap of its own on every route, whatever else the route takes."""

import pytest

from app.api.app import create_app
from app.settings import Settings
from tests.api.conftest import assert_problem, draw, local_client
from tests.fixtures.archives import zip_of

CAP = 50_000


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = Settings(data_dir=tmp_path_factory.mktemp("json"), decode_children=1, max_json_bytes=CAP)
    with local_client(create_app(settings, load_first=True)) as client:
        yield client


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "text/json", ""])
@pytest.mark.parametrize("declared", [True, False])
def test_a_large_json_body_is_refused_on_every_route(client, kind, declared):
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method in sorted(operations.keys() - {"get", "head"}):
            if (method, path) == ("put", "/images/{image_id}") and kind in {"", "text/json"}:
                continue  # There it is a picture's bytes.
            body = b" " * (CAP + 1)
            answer = client.request(
                method,
                path.replace("{", "").replace("}", ""),
                content=body if declared else iter([body[:30_000], body[30_000:]]),
                headers={"content-type": kind} if kind else {},
            )
            if answer.status_code == 415 and (kind == "text/json" or not declared or path == "/index/upload"):
                continue  # Its media type is refused before its size matters.
            if not declared and "requestBody" not in operations[method]:
                continue  # Answered without reading the body.
            assert_problem(answer, 413, "request_too_large")


def test_what_is_no_json_has_its_own_cap(client):
    picture = draw(1, size=300, compress_level=0)
    assert len(picture) > CAP

    assert client.put("/images/a", content=picture).status_code == 201
    assert client.post("/search", files={"file": ("a", picture)}).status_code == 200
    assert client.post("/index", files={"files": ("a", picture)}).status_code in {200, 201}
    archive = zip_of({"a.png": picture})
    head = {"content-type": "application/zip"}
    assert client.post("/index", content=archive, headers=head).status_code == 202
    assert client.post("/admin/jobs/index", content=archive, headers=head).status_code == 202


@pytest.fixture(scope="module")
def wide_client(tmp_path_factory):
    settings = Settings(data_dir=tmp_path_factory.mktemp("wide"), decode_children=1)
    with local_client(create_app(settings, load_first=True)) as client:
        yield client


def test_of_many_errors_a_few_are_listed(wide_client):
    for path in ("/search", "/search/batch", "/collections"):
        answer = wide_client.post(path, json=dict.fromkeys(map(str, range(500)), 0))
        problem = assert_problem(answer, 422, "validation_failed")
        assert len(problem["errors"]) == 100
        assert problem["errors"][0]["pointer"].startswith("/")
        assert "only the first are listed" in problem["errors"][-1]["detail"]


def test_of_very_many_errors_only_the_number_is_told(wide_client):
    unknown = {f"k{i}": i for i in range(120_000)}
    answer = wide_client.post("/search", json=unknown)
    problem = assert_problem(answer, 422, "validation_failed")
    [error] = problem["errors"]
    assert error["detail"] == "120,000 errors; compare the body with the documentation"
    assert len(answer.content) < 1_000


def test_operations_that_need_little_json_take_little(wide_client):
    large = {"name": "x" * 300_000}
    assert_problem(wide_client.post("/collections", json=large), 413, "request_too_large")
    assert_problem(wide_client.post("/search/batch", json=large), 413, "request_too_large")
    ids = [f"id-{i}" for i in range(10_000)]
    assert wide_client.post("/images/delete", json={"ids": ids, "dry_run": True}).status_code == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("&".join(f"x{i}" for i in range(5_000)), 422),
        ("&".join(f"x{i}&x{i}" for i in range(2_500)), 400),
        ("x" * 30_000, 422),
        (f"{'x' * 15_000}&{'x' * 15_000}", 400),
    ],
    ids=["many unknown", "many repeated", "long unknown", "long repeated"],
)
def test_query_parameters_with_errors_make_a_short_answer(wide_client, query, status):
    answer = wide_client.get(f"/images?{query}")
    assert_problem(answer, status, {400: "bad_request", 422: "validation_failed"}[status])
    assert len(answer.content) < 20_000
    errors = answer.json()["errors"]
    assert all(len(error["pointer"]) <= 256 for error in errors)
    assert len(errors) == 1 or errors[-1]["detail"].endswith("00 errors; only the first are listed")
