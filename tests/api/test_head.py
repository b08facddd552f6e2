"""``HEAD`` is answered wherever ``GET`` is: the same status and head, no body."""

import pytest

from app.api.app import create_app
from app.settings import Settings
from tests.api.conftest import draw, local_client


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = Settings(data_dir=tmp_path_factory.mktemp("head"), decode_children=1)
    with local_client(create_app(settings, load_first=True)) as client:
        client.put("/images/a", content=draw(1))
        yield client


PATHS = [
    "/", "/docs", "/page/main.js", "/openapi.json", "/healthz", "/readyz", "/info", "/metrics", "/images",
    "/images/a", "/images/a/content", "/images/a/thumbnail?size=64", "/images/a/similar", "/images/missing",
    "/images/missing/content", "/collections", "/collections/default/stats", "/models", "/jobs", "/jobs/x",
    "/export", "/duplicates", "/search", "/nowhere", "/v1/images/a/content",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_a_body(client, path):
    asked, told = client.get(path), client.head(path)

    assert told.status_code == asked.status_code
    assert told.content == b""
    for name in ("content-type", "etag", "content-disposition", "allow"):
        assert told.headers.get(name) == asked.headers.get(name)
    if path not in {"/metrics", "/info", "/images/a/similar"} and "problem" not in told.headers["content-type"]:
        assert told.headers.get("content-length") == asked.headers.get("content-length")


def test_head_of_what_is_unchanged_is_304(client):
    tag = client.head("/images/a/content").headers["etag"]

    assert client.head("/images/a/content", headers={"if-none-match": tag}).status_code == 304


def test_every_get_route_answers_head(client):
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        if "get" in operations and not path.endswith("/events"):
            assert client.head(path).status_code != 405, path
