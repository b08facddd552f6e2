"""``POST /search/batch``: the same answers as one by one, each with its own outcome."""

import pytest

from tests.api.conftest import assert_problem, draw

N = 10


@pytest.fixture(scope="module")
def gallery(shared_api):
    metadata = [{"colour": "red" if i % 2 else "blue"} for i in range(N)]
    shared_api.add(*(draw(i) for i in range(N)), ids=[f"p{i}" for i in range(N)], metadata=metadata)
    return shared_api


def batch(api, queries, **fields):
    return api.client.post("/search/batch", json={"queries": queries, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"limit": 3},
        {"limit": 3, "include_self": False},
        {"max_distance": 110},
        {"min_score": 0.6, "limit": 2},
        {"filter": {"must": [{"key": "colour", "match": "red"}]}, "include_self": False, "limit": 2},
    ],
)
def test_each_answer_is_that_of_a_search_alone(gallery, fields):
    ids = ["p3", "p4", "p9", "p3"]

    body = batch(gallery, [{"image_id": i} for i in ids], **fields).json()

    for image_id, answer in zip(ids, body["items"], strict=True):
        alone = gallery.client.post("/search", json={"image_id": image_id, **fields}).json()
        for name in ("query", "items", "cutoff"):
            assert answer[name] == alone[name]
        assert (answer["next_cursor"] is None) == (alone["next_cursor"] is None)
        assert answer["error"] is None
        assert body["index"] == alone["index"]


def test_a_cursor_of_a_batch_leads_on(gallery):
    answer = batch(gallery, [{"image_id": "p3"}], limit=4).json()["items"][0]
    whole = gallery.client.post("/search", json={"image_id": "p3", "limit": 8}).json()["items"]

    following = gallery.client.post("/search", json={"cursor": answer["next_cursor"]}).json()["items"]

    assert answer["items"] + following == whole


def test_codes_and_pictures_go_together_and_fail_apart(gallery):
    code = gallery.client.post("/search", json={"image_id": "p3"}).json()["query"]["code"]
    model = gallery.client.get("/collections/default").json()["model"]

    body = batch(
        gallery,
        [
            {"code": code, "model": model},
            {"image_id": "nobody"},
            {"code": "zz", "model": model},
            {"code": code, "model": "other"},
            {"image_id": "p3"},
        ],
        rank="hamming",
    ).json()

    errors = [answer["error"] and answer["error"]["code"] for answer in body["items"]]
    assert errors == [None, "unknown_image", "validation_failed", "model_mismatch", None]
    assert [i["id"] for i in body["items"][0]["items"]] == [i["id"] for i in body["items"][4]["items"]]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"limit": 3},
        {"max_distance": 128, "limit": 4},
        {"filter": {"must": [{"key": "colour", "match": "red"}]}, "limit": 2},
    ],
)
def test_texts_are_answered_beside_pictures_as_alone(gallery, fields):
    queries = [{"text": "dog"}, {"image_id": "p3"}, {"text": "boat -cat"}, {"text": "dog"}, {"image_id": "p4"}]

    body = batch(gallery, queries, **fields).json()

    for query, answer in zip(queries, body["items"], strict=True):
        alone = gallery.client.post("/search/query", json={**query, **fields}).json()
        for name in ("query", "items", "cutoff"):
            assert answer[name] == alone[name]
        assert (answer["next_cursor"] is None) == (alone["next_cursor"] is None)


@pytest.mark.parametrize("text", ["dog", "boat -cat"])
def test_a_cursor_of_a_text_in_a_batch_leads_on(gallery, text):
    answer = batch(gallery, [{"text": text}, {"image_id": "p1"}], limit=4).json()["items"][0]
    whole = gallery.client.post("/search/query", json={"text": text}).json()["items"]

    following = gallery.client.post("/search/query", json={"cursor": answer["next_cursor"]}).json()

    assert answer["items"] + following["items"] == whole[:8]


def test_a_text_that_is_not_understood_fails_alone(gallery):
    body = batch(gallery, [{"text": "sunflowr"}, {"text": "dog"}, {"text": "-dog"}]).json()

    errors = [answer["error"] and answer["error"]["code"] for answer in body["items"]]
    assert errors == ["text_not_understood", None, "validation_failed"]
    assert "sunflower" in body["items"][0]["error"]["detail"]


def test_nothing_answered_is_an_error(gallery):
    body = assert_problem(batch(gallery, [{"image_id": "a"}, {"image_id": "b"}]), 422, "validation_failed")

    assert [error["pointer"] for error in body["errors"]] == ["/queries/0", "/queries/1"]


def test_an_empty_collection_answers_with_nothing(api):
    api.client.post("/collections", json={"name": "empty"})
    code = "00" * 32

    body = batch(api, [{"code": code, "model": "lite2-256"}], collection="empty").json()

    assert body["items"][0]["items"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"queries": []}, 422, "validation_failed"),
        ({"queries": [{"image_id": "p1"}] * 65}, 422, "validation_failed"),
        ({"queries": [{"image_id": "p1"}] * 20, "limit": 1000}, 422, "validation_failed"),
        ({"queries": [{}]}, 422, "validation_failed"),
        ({"queries": [{"text": ""}]}, 422, "validation_failed"),
        ({"queries": [{"text": "dog", "image_id": "p1"}]}, 422, "validation_failed"),
        ({"queries": [{"text": "dog", "model": "lite2-256"}]}, 422, "validation_failed"),
        ({"queries": [{"image_id": "p1", "code": "00", "model": "m"}]}, 422, "validation_failed"),
        ({"queries": [{"image_id": "p1"}], "rank": "asymmetric"}, 422, "validation_failed"),
        ({"queries": [{"image_id": "p1"}], "filter": {"should": []}}, 422, "validation_failed"),
        ({"queries": [{"image_id": "p1"}], "collection": "nowhere"}, 404, "unknown_collection"),
    ],
)
def test_a_wrong_batch_is_answered_with_its_problem(gallery, body, status, code):
    assert_problem(gallery.client.post("/search/batch", json=body), status, code)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (r'{"queries": [{"image_id": "\ud800"}]}', "/queries/0/image_id"),
        (r'{"queries": [{"code": "\ud800", "model": "m"}]}', "/queries/0/code"),
        (r'{"queries": [{"image_id": "p1"}], "collection": "\ud800"}', "/collection"),
    ],
)
def test_text_that_is_not_unicode_is_refused(gallery, body, pointer):
    answer = gallery.client.post("/search/batch", content=body, headers={"Content-Type": "application/json"})
    assert [error["pointer"] for error in assert_problem(answer, 422, "validation_failed")["errors"]] == [
        pointer
    ]


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/admin/models/compare", r'{"new": "paper-32", "queries": ["\ud800"]}', "/queries"),
        ("/admin/jobs/learn-words", r'{"keys": ["tags", "\ud800"]}', "/keys/1"),
    ],
)
def test_lists_of_texts_that_are_not_unicode_are_refused(client, path, body, pointer):
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})

    problem = assert_problem(answer, 422, "validation_failed")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
