"""What the page needs beside the search: newest pictures, metadata keys, histograms, samples, the machine."""

import itertools
import json

from app.samples import samples
from tests.api.conftest import assert_problem, draw


def test_pictures_are_listed_newest_first_over_pages(api):
    api.add(*(draw(i) for i in range(5)), ids=list("abcde"), metadata=[{"odd": i % 2 == 1} for i in range(5)])

    first = api.client.get("/images?order=newest&limit=2").json()
    second = api.client.get(f"/images?order=newest&limit=2&cursor={first['next_cursor']}").json()
    last = api.client.get(f"/images?order=newest&limit=2&cursor={second['next_cursor']}").json()
    odd = api.client.get(
        "/images", params={"order": "newest", "filter": '{"must": [{"key": "odd", "match": true}]}'}
    )

    assert [[item["id"] for item in page["items"]] for page in (first, second, last)] == [
        ["e", "d"],
        ["c", "b"],
        ["a"],
    ]
    assert last["next_cursor"] is None
    assert api.ids(odd) == ["d", "b"]
    assert_problem(api.client.get(f"/images?cursor={first['next_cursor']}"), 422, "validation_failed")


def test_metadata_keys_are_listed_with_values_and_bounds(api):
    long = "x" * 300
    metadata = [
        {"brand": "best", "year": 10, "sold": True, "camera": {"make": "mira"}, "note": long},
        {"brand": "acme", "year": -2.5, "tags": ["b", "a"], "n": 2**60 + 1},
    ]
    api.add(draw(1), draw(2), metadata=metadata)

    found = {key.pop("key"): key for key in api.client.get("/collections/default/metadata").json()["items"]}

    assert found == {
        "brand": {"values": ["acme", "best"], "has_more": False, "min": None, "max": None},
        "camera.make": {"values": ["mira"], "has_more": False, "min": None, "max": None},
        "n": {"values": [2**60 + 1], "has_more": False, "min": 2**60 + 1, "max": 2**60 + 1},
        "sold": {"values": [True], "has_more": False, "min": None, "max": None},
        "tags": {"values": ["a", "b"], "has_more": False, "min": None, "max": None},
        "year": {"values": [-2.5, 10], "has_more": False, "min": -2.5, "max": 10},
    }
    assert_problem(api.client.get("/collections/none/metadata"), 404, "unknown_collection")


def test_only_the_first_values_of_a_key_are_listed(api):
    for start in range(0, 128, 32):
        numbers = range(start, start + 32)
        api.add(*(draw(i, size=32) for i in numbers), metadata=[{"n": f"{i:03}"} for i in numbers])

    (key,) = api.client.get("/collections/default/metadata").json()["items"]

    assert key["values"] == [f"{i:03}" for i in range(100)]
    assert key["has_more"] is True


def test_distances_from_a_code_are_counted(api):
    api.add(*(draw(i) for i in range(8)), metadata=[{"half": i % 2} for i in range(8)])
    answer = api.search(draw(3), limit=8).json()
    asked = {"code": answer["query"]["code"], "model": answer["index"]["model"]}

    found = api.client.get("/collections/default/distances", params=asked).json()
    half = {**asked, "filter": json.dumps({"must": [{"key": "half", "match": 1}]})}
    filtered = api.client.get("/collections/default/distances", params=half).json()

    expected = [0] * (answer["query"]["bits"] + 1)
    for item in answer["items"]:
        expected[item["distance"]] += 1
    assert found["counts"] == expected
    assert (found["measured"], found["total"]) == (8, 8)
    assert (sum(filtered["counts"]), filtered["counts"][0], filtered["total"]) == (4, 1, 4)
    wrong = api.client.get("/collections/default/distances", params={**asked, "code": "zz"})
    assert assert_problem(wrong, 422, "validation_failed")["errors"][0]["pointer"] == "/query/code"
    other = api.client.get("/collections/default/distances", params={**asked, "model": "lite0-256"})
    assert_problem(other, 409, "model_mismatch")


def test_samples_are_removed_and_what_replaced_one_stays(api):
    first, second, third = itertools.islice(samples(), 3)
    api.add(first.read(), second.read(), ids=[first.image_id, second.image_id])
    api.add(draw(1), draw(2), ids=[third.image_id, "mine"])

    tried = api.client.post("/images/delete", json={"samples": True, "dry_run": True}).json()
    gone = api.client.post("/images/delete", json={"samples": True}).json()

    assert (tried["count"], sorted(tried["ids"])) == (2, sorted([first.image_id, second.image_id]))
    assert (gone["count"], gone["missing"]) == (2, [])
    assert sorted(api.ids(api.client.get("/images"))) == sorted([third.image_id, "mine"])
    both = api.client.post("/images/delete", json={"samples": True, "all": True})
    assert_problem(both, 422, "validation_failed")


def test_the_machine_is_measured(api):
    empty = api.client.get("/admin/system").json()
    api.add(draw(1), draw(2))

    found = api.client.get("/admin/system").json()

    assert empty["room"][0]["search_ms"] is None
    (room,) = found["room"]
    assert room["search_ms"] > 0
    assert room["pictures"] == min(room["by_memory"], room["by_disk"]) > 0
    assert room["stored_bytes_per_picture"] > len(draw(1))
    assert [process["kind"] for process in found["processes"]] == ["api"]


def test_a_comparison_holds_both_codes(api):
    api.add(draw(1), draw(2), ids=["a", "b"])

    found = api.client.post("/compare", json={"first": "a", "second": "b"}).json()

    first, second = (int(code, 16) for code in found["codes"])
    assert (first ^ second).bit_count() == found["distance"] > 0
    assert api.search(draw(1)).json()["query"]["code"] == found["codes"][0]
