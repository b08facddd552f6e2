"""``POST /search``: every way to ask, and what the answer says."""

import json

import pytest

from tests.api.conftest import assert_problem, draw


def add_gallery(api):
    """Add twelve pictures, half of them red by their metadata."""
    metadata = [{"colour": "red" if i % 2 else "blue", "year": 2000 + i} for i in range(12)]
    answer = api.add(
        *(draw(i) for i in range(12)),
        ids=[f"p{i}" for i in range(12)],
        metadata=metadata,
        uris=[f"u/{i}" for i in range(12)],
    )
    assert answer.status_code == 200, answer.text
    return api


@pytest.fixture(scope="module")
def gallery(shared_api):
    """The twelve pictures, for tests that change nothing."""
    return add_gallery(shared_api)


@pytest.fixture
def own_gallery(api):
    """The twelve pictures in a service of the test's own."""
    return add_gallery(api)


def test_an_empty_collection_finds_nothing(api):
    body = api.search(draw(1)).json()

    assert body["items"] == []
    assert body["cutoff"] is None
    assert body["next_cursor"] is None
    assert body["index"]["searched"] == 0


def test_a_collection_of_one_picture_finds_it(api):
    api.add(draw(1), ids=["only"])

    assert api.ids(api.search(draw(2))) == ["only"]


def test_the_same_picture_comes_first_at_distance_zero_and_flagged_exact(gallery):
    body = gallery.search(draw(3), rank="hamming").json()

    first = body["items"][0]
    assert (first["id"], first["distance"], first["score"], first["exact"]) == ("p3", 0, 1.0, True)
    assert body["exact_matches"] == ["p3"]
    assert first["uri"] == "u/3"
    assert first["metadata"] == {"colour": "red", "year": 2003}
    assert [item["rank"] for item in body["items"]] == list(range(1, 13))
    distances = [item["distance"] for item in body["items"]]
    assert distances == sorted(distances)
    assert all(
        item["score"] == pytest.approx(1 - item["distance"] / body["query"]["bits"]) for item in body["items"]
    )


def test_a_reencoded_picture_is_near_but_not_exact(gallery):
    body = gallery.search(draw(3, kind="JPEG", quality=95)).json()

    assert body["items"][0]["id"] == "p3"
    assert body["items"][0]["exact"] is False
    assert body["exact_matches"] == []


def test_the_answer_says_what_it_searched_and_how_long_it_took(gallery):
    answer = gallery.search(draw(3))

    body = answer.json()
    assert body["query"]["width"] == 96
    assert body["index"]["collection"] == "default"
    assert body["index"]["searched"] == 12
    assert body["index"]["coverage"] == {"indexed": 12, "pending": 0, "failed": 0}
    assert {"decode", "encode", "scan", "total"} <= body["took_ms"].keys()
    assert "decode;dur=" in answer.headers["server-timing"]


def test_limit_bounds_the_answer(gallery):
    assert len(gallery.ids(gallery.search(draw(3), limit=5))) == 5


def test_max_distance_is_inclusive(gallery):
    items = gallery.search(draw(3)).json()["items"]
    radius = items[4]["distance"]

    found = gallery.search(draw(3), max_distance=radius).json()["items"]

    assert [i["id"] for i in found] == [i["id"] for i in items if i["distance"] <= radius]


def test_min_score_is_inclusive(gallery):
    items = gallery.search(draw(3)).json()["items"]
    score = items[4]["score"]

    found = gallery.search(draw(3), min_score=score).json()["items"]

    assert [i["id"] for i in found] == [i["id"] for i in items if i["score"] >= score]


def test_a_filter_is_applied_before_ranking(gallery):
    everything = gallery.search(draw(3)).json()["items"]
    wanted = [
        i["id"] for i in everything if i["metadata"]["colour"] == "blue" and i["metadata"]["year"] >= 2004
    ]

    body = gallery.search(
        draw(3),
        limit=3,
        filter={"must": [{"key": "colour", "match": "blue"}, {"key": "year", "range": {"gte": 2004}}]},
    ).json()

    assert [i["id"] for i in body["items"]] == wanted[:3]
    assert body["index"]["searched"] == len(wanted)


def test_must_not_excludes(gallery):
    answer = gallery.search(draw(3), filter={"must_not": [{"key": "colour", "match": "red"}]})

    assert {i["metadata"]["colour"] for i in answer.json()["items"]} == {"blue"}


def test_a_filter_follows_changes_of_metadata(own_gallery):
    red = {"must": [{"key": "colour", "match": "red"}]}
    assert "p0" not in own_gallery.ids(own_gallery.search(draw(0), filter=red))

    own_gallery.client.patch("/images/p0", json={"metadata": {"colour": "red"}})
    own_gallery.client.patch("/images/p1", json={"metadata": {"colour": "blue"}})
    own_gallery.client.delete("/images/p3")
    own_gallery.add(draw(20), ids=["p20"], metadata=[{"colour": "red"}])

    assert set(own_gallery.ids(own_gallery.search(draw(0), filter=red))) == {
        "p0",
        "p5",
        "p7",
        "p9",
        "p11",
        "p20",
    }


def test_a_stored_picture_is_a_query_too(gallery):
    by_upload = gallery.search(draw(3)).json()

    by_image = gallery.client.post("/search", json={"image_id": "p3"}).json()

    assert [(i["id"], i["distance"]) for i in by_image["items"]] == [
        (i["id"], i["distance"]) for i in by_upload["items"]
    ]
    assert by_image["query"]["image_id"] == "p3"


def test_similar_leaves_the_picture_itself_out(gallery):
    body = gallery.client.get("/images/p3/similar?limit=5").json()

    assert len(body["items"]) == 5
    assert "p3" not in [i["id"] for i in body["items"]]


def test_a_raw_code_is_a_query_too(gallery):
    by_upload = gallery.search(draw(3), rank="hamming").json()

    by_code = gallery.client.post(
        "/search", json={"code": by_upload["query"]["code"], "model": by_upload["index"]["model"]}
    ).json()

    assert [i["id"] for i in by_code["items"]] == [i["id"] for i in by_upload["items"]]


def test_pages_by_cursor_are_the_whole_ranking_in_order(gallery):
    whole = [(i["id"], i["rank"]) for i in gallery.search(draw(3), limit=50).json()["items"]]

    page = gallery.search(draw(3), limit=5).json()
    paged = [(i["id"], i["rank"]) for i in page["items"]]
    while page["next_cursor"]:
        page = gallery.client.post("/search", json={"cursor": page["next_cursor"]}).json()
        paged += [(i["id"], i["rank"]) for i in page["items"]]

    assert paged == whole


def test_a_page_repeats_nothing_and_skips_nothing_when_pictures_come_and_go(own_gallery):
    whole = own_gallery.ids(own_gallery.search(draw(3), limit=50))
    first = own_gallery.search(draw(3), limit=5).json()
    own_gallery.client.delete(f"/images/{whole[1]}")
    own_gallery.add(draw(3, kind="BMP"), ids=["nearer"])

    second = own_gallery.client.post("/search", json={"cursor": first["next_cursor"]}).json()

    assert [i["id"] for i in second["items"]] == whole[5:10]


def test_the_cutoff_counts_ties(api):
    same = draw(1)
    api.add(*([same] * 7), ids=[f"copy{i}" for i in range(7)])
    api.add(draw(2), ids=["other"])

    body = api.search(same, limit=3, rank="hamming").json()

    assert body["cutoff"] == {"distance": 0, "returned": 3, "total": 7}
    assert [i["id"] for i in body["items"]] == ["copy0", "copy1", "copy2"]
    following = api.client.post("/search", json={"cursor": body["next_cursor"]}).json()
    assert following["cutoff"] == {"distance": 0, "returned": 6, "total": 7}
    assert [i["id"] for i in following["items"]] == ["copy3", "copy4", "copy5"]
    assert len(body["exact_matches"]) == 7


def test_a_crop_searches_with_a_part(gallery):
    answer = gallery.search(draw(3), crop={"x": 0, "y": 0, "width": 0.5, "height": 0.5})

    assert answer.status_code == 200
    assert answer.json()["query"]["code"] != gallery.search(draw(3)).json()["query"]["code"]


def test_v1_answers_alike(gallery):
    answer = gallery.client.post("/v1/search", json={"image_id": "p3"})

    assert gallery.ids(answer)[0] == "p3"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "validation_failed"),
        ({"image_id": "p1", "code": "00", "model": "m"}, 422, "validation_failed"),
        ({"image_id": "p1", "limit": 0}, 422, "validation_failed"),
        ({"image_id": "p1", "limit": 1001}, 422, "validation_failed"),
        ({"image_id": "p1", "limit": "many"}, 422, "validation_failed"),
        ({"image_id": "p1", "typo": 1}, 422, "validation_failed"),
        ({"image_id": "p1", "max_distance": -1}, 422, "validation_failed"),
        ({"image_id": "p1", "min_score": 2}, 422, "validation_failed"),
        ({"image_id": "p1", "filter": {"should": []}}, 422, "validation_failed"),
        (
            {"image_id": "p1", "filter": {"must": [{"key": "a", "range": {"over": 1}}]}},
            422,
            "validation_failed",
        ),
        ({"image_id": "nobody"}, 404, "unknown_image"),
        ({"image_id": "p1", "collection": "nowhere"}, 404, "unknown_collection"),
        ({"code": "00", "model": "other-model"}, 409, "model_mismatch"),
        ({"code": "zz", "model": "lite2-256"}, 422, "validation_failed"),
        ({"cursor": "bm90aGluZw"}, 422, "validation_failed"),
        ({"cursor": "é"}, 422, "validation_failed"),
        ({"url": "http://127.0.0.1/x.jpg"}, 422, "url_not_allowed"),
        ([], 422, "validation_failed"),
    ],
)
def test_a_wrong_question_is_answered_with_its_problem(gallery, body, status, code):
    assert_problem(gallery.client.post("/search", json=body), status, code)


def test_an_error_points_at_the_part_that_is_wrong(gallery):
    wrong = {"must": [{"key": "a", "match": 1}, {"key": "b", "range": {"gte": "x"}}]}

    body = assert_problem(
        gallery.client.post("/search", json={"image_id": "p1", "filter": wrong}), 422, "validation_failed"
    )

    assert body["errors"][0]["pointer"] == "/filter/must/1/range/gte"


def test_broken_json_is_a_bad_request(gallery):
    answer = gallery.client.post("/search", content=b"{", headers={"content-type": "application/json"})

    assert_problem(answer, 400, "bad_request")


def test_deep_json_is_a_bad_request(gallery):
    deep = b'{"filter":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

    answer = gallery.client.post("/search", content=deep, headers={"content-type": "application/json"})

    assert_problem(answer, 400, "bad_request")


def test_another_media_type_is_refused(gallery):
    answer = gallery.client.post("/search", content=b"x", headers={"content-type": "text/plain"})

    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "head",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=x",
        'multipart/form-data; boundary="\xff"',
    ],
)
def test_a_malformed_form_is_a_client_error(gallery, head):
    answer = gallery.client.post(
        "/search", content=b"--y\r\n\r\n", headers={"content-type": head.encode("latin-1")}
    )

    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_form_without_a_file_is_refused(gallery):
    answer = gallery.client.post("/search", files={"other": b"x"}, data={"limit": "3"})

    assert_problem(answer, 422, "validation_failed")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 415, "not_an_image"),
        (b"hello", 415, "not_an_image"),
        (draw(1)[:300], 415, "not_an_image"),
        (draw(1, kind="JPEG")[:400], 415, "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported_format"),
    ],
)
def test_what_is_no_picture_is_refused(gallery, content, status, code):
    assert_problem(gallery.search(content), status, code)


def test_a_search_leaves_nothing_behind(own_gallery, settings):
    def stored():
        # The sweep in the background leaves a mark.
        files = (settings.storage.data_dir / "store").rglob("*")
        return sorted(path for path in files if path.name != ".parts-removed")

    before = stored()
    version = own_gallery.client.get("/info").json()["index_version"]

    own_gallery.search(draw(99))

    assert stored() == before
    assert own_gallery.client.get("/info").json()["index_version"] == version


def test_the_filter_may_come_as_form_text(gallery):
    answer = gallery.client.post(
        "/search",
        files={"file": draw(3)},
        data={"filter": json.dumps({"must": [{"key": "colour", "match": "blue"}]}), "limit": "2"},
    )

    assert len(gallery.ids(answer)) == 2


def test_form_text_that_is_no_json_is_refused(gallery):
    body = assert_problem(gallery.search(draw(3), filter="{"), 422, "validation_failed")

    assert body["errors"][0]["pointer"] == "/filter"
