"""Answers that are built as plain dictionaries have exactly the documented shape."""

import json

import pytest
from pydantic import TypeAdapter

from app.api.schemas.batch import BatchResponse
from app.api.schemas.images import Image, ImageList
from app.api.schemas.search import SearchResponse
from tests.api.conftest import draw


def add_gallery(api):
    metadata = [{"text": 'ü "\u2028\U0001f600', "big": 2**70, "list": [1.5, None, True, {"k": []}]}, {}, {}]
    api.add(*(draw(i) for i in range(3)), ids=["a b/ü", "b", "c"], metadata=metadata, uris=["u", None, None])
    api.client.post("/collections", json={"name": "refs", "keeps": "references"})
    api.add(draw(5), ids=["r"], uris=["r.png"], collection="refs")
    return api


@pytest.fixture(scope="module")
def gallery(shared_api):
    """The pictures, for tests that change nothing."""
    return add_gallery(shared_api)


@pytest.fixture
def own_gallery(api):
    """The pictures in a service of the test's own."""
    return add_gallery(api)


def assert_is_documented(answer, model) -> None:
    """The document is valid, and what the model makes of it is the document: same names, types and order."""
    assert answer.status_code in {200, 201}, answer.text
    adapter = TypeAdapter(model)
    parsed = adapter.validate_python(answer.json(), strict=False)
    assert json.dumps(adapter.dump_python(parsed, mode="json")) == json.dumps(answer.json())


def test_searches(gallery):
    post = gallery.client.post
    code = post("/search", json={"image_id": "b"}).json()["query"]["code"]

    for body in (
        {"image_id": "b"},
        {"image_id": "b", "limit": 1, "include_self": False},
        {"image_id": "b", "rank": "descriptor"},
        {"images": [{"image_id": "b"}, {"image_id": "c", "sign": "-"}]},
        {"code": code, "model": "lite2-256", "max_distance": 0},
        {"image_id": "r", "collection": "refs"},
    ):
        answer = post("/search", json=body)
        assert_is_documented(answer, SearchResponse)
        cursor = answer.json()["next_cursor"]
        if cursor is not None:
            assert_is_documented(post("/search", json={"cursor": cursor}), SearchResponse)
    assert_is_documented(gallery.search(draw(1), orientations=8), SearchResponse)
    assert_is_documented(gallery.search(draw(1), rank="asymmetric"), SearchResponse)
    assert_is_documented(gallery.client.get("/images/b/similar"), SearchResponse)


def test_batches(gallery):
    queries = [{"image_id": "b"}, {"image_id": "none"}, {"image_id": "a b/ü"}]

    assert_is_documented(
        gallery.client.post("/search/batch", json={"queries": queries, "limit": 1}), BatchResponse
    )


def test_pictures(own_gallery):
    client = own_gallery.client

    assert_is_documented(client.get("/images/b"), Image)
    assert_is_documented(client.get("/images/r?collection=refs"), Image)
    assert_is_documented(client.put("/images/new", content=draw(9)), Image)
    assert_is_documented(client.get("/images?limit=2"), ImageList)
    assert_is_documented(client.get("/images?limit=100"), ImageList)
