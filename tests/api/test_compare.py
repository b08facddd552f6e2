"""``POST /compare`` and ``/collections/{name}/calibration``: what a distance means."""

import pytest

from tests.api.conftest import assert_problem, draw


@pytest.fixture(scope="module")
def pair(shared_api):
    shared_api.add(draw(1, kind="JPEG", quality=95), draw(2), ids=["a", "b"])
    return shared_api


def compare(api, first, second, **fields):
    sides = {"first": first, "second": second}
    files = {name: (name, side) for name, side in sides.items() if isinstance(side, bytes)}
    texts = {name: side for name, side in sides.items() if isinstance(side, str)}
    if not files:
        return api.client.post("/compare", json={**texts, **fields})
    return api.client.post("/compare", files=files, data={**texts, **fields})


def test_every_way_to_name_two_pictures_says_the_same(pair):
    first, second = draw(1, kind="JPEG", quality=95), draw(2)

    answers = [
        compare(pair, first, second),
        compare(pair, "a", second),
        compare(pair, first, "b"),
        pair.client.post("/compare", json={"first": "a", "second": "b"}),
    ]

    bodies = [{k: v for k, v in answer.json().items() if k != "took_ms"} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    found = pair.client.post("/search", json={"image_id": "a"}).json()["items"][1]
    assert (bodies[0]["distance"], bodies[0]["score"]) == (found["distance"], found["score"])
    assert 0 < bodies[0]["descriptor_distance"] <= 2
    assert "total;dur=" in answers[0].headers["server-timing"]


def test_the_same_file_is_exact(pair):
    body = compare(pair, draw(2), "b").json()

    assert (body["distance"], body["score"], body["exact"], body["likeness"]) == (0, 1.0, True, "exact")
    assert body["descriptor_distance"] == 0


def test_a_reencoded_picture_is_a_copy(pair):
    body = compare(pair, draw(1), "a").json()

    assert (body["exact"], body["likeness"]) == (False, "copy")
    assert body["shares_within"]["copies"] > body["shares_within"]["unrelated"]


def test_the_words_are_those_of_the_calibration(pair):
    calibration = pair.client.get("/collections/default/calibration").json()
    body = compare(pair, "a", "b").json()

    words = {bound["likeness"]: bound["max_distance"] for bound in calibration["likeness"]}
    assert list(words) == ["copy", "similar", "unclear", "unrelated"]
    assert list(words.values()) == sorted(words.values())
    assert words["unrelated"] == calibration["bits"]
    assert body["likeness"] == next(word for word, bound in words.items() if body["distance"] <= bound)
    scores = [bound["max_score"] for bound in calibration["likeness"]]
    assert scores[0] == 1.0
    assert scores == sorted(scores, reverse=True)
    assert set(calibration["quantiles"]) == {"copies", "same_kind", "unrelated"}


def test_the_calibration_of_nothing_is_unknown(api):
    assert_problem(api.client.get("/collections/nowhere/calibration"), 404, "unknown_collection")


@pytest.mark.parametrize(
    ("first", "second", "fields", "status", "code"),
    [
        (b"hello", "b", {}, 415, "not_an_image"),
        ("nobody", "b", {}, 404, "unknown_image"),
        (draw(1), "b", {"collection": "nowhere"}, 404, "unknown_collection"),
        (draw(1), "b", {"typo": "1"}, 422, "validation_failed"),
    ],
)
def test_what_cannot_be_compared_is_refused(pair, first, second, fields, status, code):
    assert_problem(compare(pair, first, second, **fields), status, code)


def test_one_picture_is_not_enough(pair):
    body = assert_problem(
        pair.client.post("/compare", files={"first": draw(1)}, data={"collection": "default"}),
        422,
        "validation_failed",
    )
    assert body["errors"][0]["pointer"] == "/second"
    assert_problem(pair.client.post("/compare", json={"first": "a"}), 422, "validation_failed")
    assert_problem(pair.client.post("/compare", content=b"{"), 400, "bad_request")
    text = pair.client.post("/compare", content=b"x", headers={"content-type": "text/plain"})
    assert_problem(text, 415, "unsupported_media_type")
