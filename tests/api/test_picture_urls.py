"""URLs of pictures in answers: relative by default, absolute on request, signed when keys are in use."""

import pytest

from app.domain.access import Scope
from tests.api.conftest import Api, assert_problem, draw
from tests.api.test_access import bearer, make_key

CALLS = {
    "search by upload": lambda c, query: c.post("/search" + query, files={"file": draw(1)}).json()["items"][0],
    "search by query": lambda c, query: c.post("/search/query" + query, json={"image_id": "a"}).json()["items"][
        0
    ],
    "similar": lambda c, query: c.get("/images/a/similar" + query).json()["items"][0],
    "batch": lambda c, query: c.post("/search/batch" + query, json={"queries": [{"image_id": "a"}]}).json()[
        "items"
    ][0]["items"][0],
    "duplicates": lambda c, query: c.get("/duplicates" + query).json()["items"][0]["images"][0],
    "list": lambda c, query: c.get("/images" + query).json()["items"][0],
    "read": lambda c, query: c.get("/images/a" + query).json(),
    "put": lambda c, query: c.put("/images/a" + query, files={"file": draw(1)}).json(),
    "patch": lambda c, query: c.patch("/images/a" + query, json={"uri": "x"}).json(),
}


@pytest.fixture
def keys(settings) -> dict[Scope, dict[str, str]]:
    return {scope: bearer(make_key(settings, scope, scope).text) for scope in Scope}


def test_every_answer_with_a_picture_has_both_urls_relative_or_absolute_on_request(api):
    api.add(draw(1), draw(1), ids=["a", "b"])
    for call in CALLS.values():
        found = call(api.client, "")
        place = f"/images/{found['id']}"
        assert (found["thumbnail_url"], found["content_url"]) == (
            f"{place}/thumbnail?size=256",
            f"{place}/content",
        )
        found = call(api.client, "?absolute_urls=true")
        place = f"http://127.0.0.1:8000/images/{found['id']}"
        assert (found["thumbnail_url"], found["content_url"]) == (
            f"{place}/thumbnail?size=256",
            f"{place}/content",
        )


def test_a_host_that_is_none_is_refused_where_urls_would_contain_it(keys, client):
    for host in ("a/b", "a b", "", "a@b", "[::1", "a:99999999"):
        headers = {**keys[Scope.READ], "host": host}

        refused = client.get("/images?absolute_urls=true", headers=headers)
        body = assert_problem(refused, 422, "validation_failed")
        assert body["errors"][0]["pointer"] == "/headers/host"
        assert client.get("/images", headers=headers).status_code == 200


def test_absolute_urls_are_signed_and_withhold_originals_from_keys_without_them(keys, client):
    Api(client).add(draw(1), draw(1), ids=["a", "b"], headers=keys[Scope.WRITE])

    hidden = client.get("/images/a/similar?absolute_urls=true", headers=keys[Scope.SEARCH]).json()["items"][0]
    shown = client.get("/images/a/similar?absolute_urls=true", headers=keys[Scope.READ]).json()["items"][0]

    assert hidden["content_url"] is None
    assert client.get(hidden["thumbnail_url"]).status_code == 200
    assert client.get(shown["content_url"]).content == draw(1)
