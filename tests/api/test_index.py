"""Adding and changing pictures: what is acknowledged is found, what is refused leaves nothing."""

import hashlib
import json

import pytest

from tests.api.conftest import assert_problem, draw, local_client


def stored_files(settings):
    """The files in the picture store, but for the mark of the sweep that runs in the background."""
    files = (settings.storage.data_dir / "store").rglob("*")
    return sorted(path for path in files if path.is_file() and path.name != ".parts-removed")


def added(image_id: str, status: str) -> dict:
    """An item of the answer, without an error and without what a request must ask for."""
    return {"id": image_id, "status": status, "error": None, "near_duplicates": None, "suggestions": None}


def test_a_single_new_picture_is_created_and_found_at_once(api):
    answer = api.add(draw(1), ids=["a"])

    assert answer.status_code == 201
    assert answer.json()["items"] == [added("a", "created")]
    assert api.ids(api.search(draw(1))) == ["a"]


def test_without_an_id_the_content_names_it_and_adding_again_changes_nothing(api):
    name = f"sha256:{hashlib.sha256(draw(1)).hexdigest()}"

    assert api.add(draw(1)).json()["items"][0] == added(name, "created")
    again = api.add(draw(1))

    assert again.status_code == 200
    assert again.json()["items"][0]["status"] == "unchanged"
    assert len(api.ids(api.search(draw(1)))) == 1


def test_each_file_has_its_own_outcome(api):
    api.add(draw(0), ids=["old"])

    answer = api.add(draw(1), draw(0), b"no picture", draw(2), ids=["new", "old", "bad", ".hidden"])

    assert answer.status_code == 200
    body = answer.json()
    assert [(i["id"], i["status"]) for i in body["items"]] == [
        ("new", "created"),
        ("old", "unchanged"),
        ("bad", "failed"),
        (".hidden", "failed"),
    ]
    assert body["items"][2]["error"]["code"] == "not_an_image"
    assert body["items"][3]["error"]["code"] == "validation_failed"
    assert body["counts"] == {"created": 1, "unchanged": 1, "failed": 2}
    assert set(api.ids(api.search(draw(1)))) == {"new", "old"}


def test_one_refused_picture_answers_with_its_own_status(api, settings):
    assert_problem(api.add(b"no picture"), 415, "not_an_image")

    assert stored_files(settings) == []
    assert api.ids(api.search(draw(1))) == []


def test_when_all_of_several_are_refused_the_request_is(api, settings):
    body = assert_problem(api.add(b"one", b"two"), 422, "validation_failed")

    assert [e["pointer"] for e in body["errors"]] == ["/files/0", "/files/1"]
    assert stored_files(settings) == []


def test_skip_keeps_the_stored_one_and_says_whether_it_is_the_same(api):
    api.add(draw(1), ids=["a"])

    assert api.add(draw(1), ids=["a"]).json()["items"][0] == added("a", "unchanged")
    answer = api.add(draw(2), ids=["a"])
    assert (answer.status_code, answer.json()["counts"]) == (200, {"conflict": 1})
    [item] = answer.json()["items"]
    assert (item["status"], item["error"]["code"]) == ("conflict", "id_exists")
    assert "on_duplicate=replace" in item["error"]["detail"]
    assert api.search(draw(1)).json()["items"][0]["distance"] == 0


def test_metadata_that_cannot_be_stored_is_refused_for_a_stored_picture_too(api):
    api.add(draw(1), ids=["a"])

    for on_duplicate in ("skip", "replace", "error"):
        for content in (draw(1), draw(2)):
            fields = {"ids": ["a"], "on_duplicate": on_duplicate}
            assert_problem(api.add(content, **fields, metadata=[{"a\x00": 1}]), 422, "validation_failed")
    answer = api.add(draw(1), draw(3), ids=["a", "b"], metadata=[{"a": "x" * 20_000}, None])
    assert [item["status"] for item in answer.json()["items"]] == ["failed", "created"]


def test_replace_takes_its_place_at_once(api):
    api.add(draw(1), draw(5), ids=["a", "b"])

    answer = api.add(draw(2), ids=["a"], on_duplicate="replace")

    assert answer.json()["items"][0]["status"] == "replaced"
    found = api.search(draw(2)).json()["items"][0]
    assert (found["id"], found["distance"], found["exact"]) == ("a", 0, True)
    assert api.search(draw(1)).json()["exact_matches"] == []


def test_replacing_with_the_same_changes_nothing(api):
    api.add(draw(1), ids=["a"])

    assert api.add(draw(1), ids=["a"], on_duplicate="replace").json()["items"][0]["status"] == "unchanged"


def test_error_refuses_a_known_id(api):
    api.add(draw(1), ids=["a"])

    assert_problem(api.add(draw(2), ids=["a"], on_duplicate="error"), 409, "id_exists")


def test_an_id_twice_in_one_request_is_stored_once(api):
    answer = api.add(draw(1), draw(2), draw(1), ids=["a", "a", "a"])

    assert [i["status"] for i in answer.json()["items"]] == ["created", "conflict", "unchanged"]
    assert len(api.ids(api.search(draw(1)))) == 1


def test_an_id_twice_with_replace_keeps_the_last(api):
    answer = api.add(draw(1), draw(2), ids=["a", "a"], on_duplicate="replace")

    assert [i["status"] for i in answer.json()["items"]] == ["created", "replaced"]
    assert api.search(draw(2)).json()["items"][0]["exact"] is True


@pytest.mark.parametrize(
    "fields",
    [
        {"ids": ["a", "b"]},
        {"ids": [1]},
        {"metadata": ["text"]},
        {"uris": [{}]},
        {"uris": ["x" * 3000]},
        {"on_duplicate": "maybe"},
        {"typo": "1"},
    ],
)
def test_wrong_fields_are_refused(api, fields):
    assert_problem(api.add(draw(1), **fields), 422, "validation_failed")


@pytest.mark.parametrize("metadata", [{"a": "x" * 20_000}, {"a": "\x00"}, {"k" * 300: 1}])
def test_metadata_that_cannot_be_stored_is_refused(api, metadata):
    assert_problem(api.add(draw(1), metadata=[metadata]), 422, "validation_failed")


def test_nan_in_metadata_is_refused(api):
    answer = api.client.post("/index", files={"files": draw(1)}, data={"metadata": '[{"a": NaN}]'})

    assert_problem(answer, 422, "validation_failed")


def test_more_files_than_allowed_are_refused(api):
    answer = api.add(*[draw(1)] * 33)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_no_files_are_refused(api):
    answer = api.client.post("/index", data={"collection": "default"}, files={"x": b""})

    assert_problem(answer, 422, "validation_failed")


def test_an_unknown_collection_is_refused_and_leaves_nothing(api, settings):
    assert_problem(api.add(draw(1), collection="nowhere"), 404, "unknown_collection")
    assert stored_files(settings) == []


def test_put_adds_then_replaces(api):
    first = api.client.put("/images/a", content=draw(1), headers={"content-type": "image/png"})
    second = api.client.put("/images/a", content=draw(2), headers={"content-type": "image/png"})

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["revision"] == first.json()["revision"] + 1
    assert second.json()["created_at"] == first.json()["created_at"]
    assert api.search(draw(2)).json()["items"][0]["exact"] is True


def test_put_takes_a_form_with_metadata(api):
    answer = api.client.put(
        "/images/a", files={"file": draw(1)}, data={"metadata": '{"brand": "acme"}', "uri": "shop/a.png"}
    )

    assert (answer.json()["metadata"], answer.json()["uri"]) == ({"brand": "acme"}, "shop/a.png")


def test_put_of_what_is_no_picture_changes_nothing(api):
    api.add(draw(1), ids=["a"])

    assert_problem(api.client.put("/images/a", content=b"text"), 415, "not_an_image")

    assert api.search(draw(1)).json()["items"][0]["exact"] is True


def test_patch_changes_metadata_and_only_under_the_right_etag(api):
    api.add(draw(1), ids=["a"], metadata=[{"n": 1}])
    etag = api.client.get("/images/a").headers["etag"]

    changed = api.client.patch("/images/a", json={"metadata": {"n": 2}}, headers={"if-match": etag})
    stale = api.client.patch("/images/a", json={"metadata": {"n": 3}}, headers={"if-match": etag})

    assert changed.json()["metadata"] == {"n": 2}
    assert changed.headers["etag"] != etag
    assert_problem(stale, 412, "precondition_failed")
    assert api.client.get("/images/a").json()["metadata"] == {"n": 2}


def test_patch_keeps_the_order_among_equal_distances(api):
    api.add(*[draw(1)] * 3, ids=["a", "b", "c"])

    api.client.patch("/images/a", json={"metadata": {"n": 2}})
    api.client.put("/images/b", content=draw(2))
    api.client.put("/images/b", content=draw(1))

    assert api.ids(api.search(draw(1))) == ["a", "b", "c"]


@pytest.mark.parametrize("change", [{"sha256": "x"}, {"metadata": []}, {"metadata": 3}, {"uri": 5}])
def test_a_wrong_patch_is_refused(api, change):
    api.add(draw(1), ids=["a"])

    assert_problem(api.client.patch("/images/a", json=change), 422, "validation_failed")


def test_a_deleted_picture_is_not_found_by_the_next_search(api):
    api.add(draw(1), draw(2), ids=["a", "b"])

    assert api.client.delete("/images/a").status_code == 204

    assert api.ids(api.search(draw(1))) == ["b"]
    assert_problem(api.client.get("/images/a"), 404, "unknown_image")
    assert_problem(api.client.delete("/images/a"), 404, "unknown_image")


def test_a_deleted_id_can_be_added_again(api):
    api.add(draw(1), ids=["a"])
    api.client.delete("/images/a")

    assert api.add(draw(1), ids=["a"]).status_code == 201
    assert api.ids(api.search(draw(1))) == ["a"]


def test_many_are_deleted_by_ids(api):
    api.add(*(draw(i) for i in range(4)), ids=["a", "b", "c", "d"])

    body = api.client.post("/images/delete", json={"ids": ["a", "c", "zz"]}).json()

    assert (body["count"], body["ids"], body["missing"]) == (2, ["a", "c"], ["zz"])
    assert sorted(api.ids(api.search(draw(1)))) == ["b", "d"]


def test_many_are_deleted_by_filter_after_a_dry_run(api):
    api.add(*(draw(i) for i in range(4)), ids=["a", "b", "c", "d"], metadata=[{"n": i} for i in range(4)])
    asked = {"filter": {"must": [{"key": "n", "range": {"lt": 2}}]}}

    dry = api.client.post("/images/delete", json={**asked, "dry_run": True}).json()
    assert (dry["count"], dry["ids"], len(api.ids(api.search(draw(1))))) == (2, ["a", "b"], 4)
    wet = api.client.post("/images/delete", json=asked).json()

    assert (wet["count"], sorted(api.ids(api.search(draw(1))))) == (2, ["c", "d"])


@pytest.mark.parametrize("asked", [{}, {"ids": ["a"], "filter": {}}, {"filter": {"x": 1}}, {"ids": "a"}])
def test_a_wrong_deletion_deletes_nothing(api, asked):
    api.add(draw(1), ids=["a"])

    assert_problem(api.client.post("/images/delete", json=asked), 422, "validation_failed")
    assert api.ids(api.search(draw(1))) == ["a"]


def test_pictures_are_listed_by_cursor_in_the_order_they_came(api):
    api.add(*(draw(i) for i in range(7)), ids=[f"p{6 - i}" for i in range(7)])

    page = api.client.get("/images?limit=3").json()
    listed = [i["id"] for i in page["items"]]
    while page["next_cursor"]:
        page = api.client.get("/images", params={"limit": 3, "cursor": page["next_cursor"]}).json()
        listed += [i["id"] for i in page["items"]]

    assert listed == [f"p{6 - i}" for i in range(7)]


def test_pictures_are_listed_under_a_filter(api):
    api.add(*(draw(i) for i in range(4)), ids=["a", "b", "c", "d"], metadata=[{"n": i % 2} for i in range(4)])

    page = api.client.get("/images", params={"filter": json.dumps({"must": [{"key": "n", "match": 1}]})}).json()

    assert [i["id"] for i in page["items"]] == ["b", "d"]


def test_a_cursor_of_another_list_is_refused(api):
    api.add(*(draw(i) for i in range(3)))
    cursor = api.client.get("/images?limit=1").json()["next_cursor"]

    assert_problem(api.client.get("/collections", params={"cursor": cursor}), 422, "validation_failed")


def test_thumbnail_and_content_have_etags(api):
    api.add(draw(1, size=400), ids=["a"])

    thumbnail = api.client.get("/images/a/thumbnail?size=128")
    content = api.client.get("/images/a/content")

    assert content.content == draw(1, size=400)
    assert content.headers["content-type"] == "image/png"
    assert thumbnail.headers["content-type"] in {"image/webp", "image/jpeg"}
    for answer in (thumbnail, content):
        again = api.client.get(answer.request.url, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert_problem(api.client.get("/images/a/thumbnail?size=100"), 422, "validation_failed")


def test_a_collection_of_references_keeps_no_bytes(api, settings):
    api.client.post("/collections", json={"name": "refs", "keeps": "references"})

    api.add(draw(1), ids=["a"], uris=["s3://bucket/a.png"], collection="refs")

    assert stored_files(settings) == []
    assert_problem(api.client.get("/images/a/content?collection=refs"), 410, "picture_gone")
    hit = api.search(draw(1), collection="refs").json()["items"][0]
    assert (hit["uri"], hit["thumbnail_url"]) == ("s3://bucket/a.png", None)


def test_what_was_added_is_there_after_a_restart(api, settings):
    from app.api.app import create_app
    from tests.api.conftest import Api

    api.add(draw(1), draw(2), ids=["a", "b"], metadata=[{"n": 1}, {"n": 2}])
    api.client.delete("/images/b")
    before = api.search(draw(1)).json()["items"]

    with local_client(create_app(settings, load_first=True)) as second:
        assert Api(second).search(draw(1)).json()["items"] == before
