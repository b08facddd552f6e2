"""Searches by words, against the class weights of the model and the codes of the stored pictures."""

import csv
import io
import json

import numpy as np
import pytest

from app.domain.codes import codes_from_bytes, unpack_signs
from app.encoding.artifact import load_artifact, read_class_weights
from app.index.weighted import BitWeights
from app.services.searching.queries import WeightedBits
from app.settings import Settings
from app.words.understanding import bit_weights, class_shares, understand, word_weights
from app.words.vocabulary import vocabulary
from tests.api.conftest import assert_problem, draw

N = 12


@pytest.fixture(scope="module")
def class_weights():
    settings = Settings()
    return read_class_weights(load_artifact(settings.models.artifacts_dir / settings.models.default_model))


def add_gallery(api):
    answer = api.add(
        *(draw(i) for i in range(N)),
        ids=[f"p{i}" for i in range(N)],
        metadata=[{"colour": "red" if i % 2 else "blue"} for i in range(N)],
    )
    assert answer.status_code == 200, answer.text
    return api


@pytest.fixture(scope="module")
def gallery(shared_api):
    """The pictures, for tests that change nothing."""
    return add_gallery(shared_api)


@pytest.fixture
def own_gallery(api):
    """The pictures in a service of the test's own."""
    return add_gallery(api)


def by_text(api, text, **fields):
    return api.client.post("/search/query", json={"text": text, **fields})


def code_of(api, image_id):
    found = api.client.post("/search/query", json={"image_id": image_id, "limit": 1}).json()
    return codes_from_bytes(bytes.fromhex(found["query"]["code"]), found["query"]["bits"])[0]


@pytest.fixture
def codes(gallery):
    return np.stack([code_of(gallery, f"p{i}") for i in range(N)])


def test_a_broad_word_is_ranked_by_groups_of_its_kinds(gallery, codes, class_weights):
    words = word_weights(understand("dog"), class_weights)
    query = BitWeights.of(words.rows, biases=np.array(words.biases), softness=words.softness)
    costs = query.costs_of(codes)

    body = by_text(gallery, "dog", limit=7).json()
    rest = gallery.client.post("/search/query", json={"cursor": body["next_cursor"]}).json()

    assert query.parts > 1
    found = [item["id"] for item in body["items"] + rest["items"]]
    assert found == [f"p{i}" for i in np.argsort(costs, kind="stable")]


def order(weights, codes):
    return [f"p{i}" for i in np.argsort(BitWeights.of(weights).costs_of(codes), kind="stable")]


def test_pictures_are_ranked_by_the_weights_of_the_words(gallery, codes, class_weights):
    body = by_text(gallery, "dogs, beach -cat").json()

    assert [item["id"] for item in body["items"]] == order(
        bit_weights(understand("dogs, beach -cat"), class_weights), codes
    )
    ranks = [item["rank_distance"] for item in body["items"]]
    assert ranks == sorted(ranks)
    assert body["query"]["text"] == "dogs, beach -cat"
    assert body["cutoff"] is None


def test_a_text_says_what_it_was_taken_for(gallery):
    query = by_text(gallery, "crane, -mice").json()["query"]

    crane, mouse = query["understood_as"]
    assert (crane["word"], crane["sign"], crane["relation"]) == ("crane", "+", "kinds")
    assert crane["classes"] == ["construction crane"]
    assert crane["other_meanings"] == ["crane (wading bird)"]
    assert (mouse["word"], mouse["sign"]) == ("mouse", "-")
    assert query["confidence"] is None
    assert by_text(gallery, "crane").json()["query"]["confidence"] == 0.9


def test_every_offered_meaning_is_another_one_that_its_phrase_selects(gallery):
    for word in ("cat", "crane", "bat", "mouse", "seal"):
        meaning = by_text(gallery, word).json()["query"]["understood_as"][0]
        for offered in meaning["other_meanings"]:
            other = by_text(gallery, offered).json()["query"]["understood_as"][0]
            assert other["synset"] != meaning["synset"], offered


def test_another_meaning_is_selected_by_the_phrase_that_was_offered(gallery):
    offered = by_text(gallery, "crane").json()["query"]["understood_as"][0]["other_meanings"][0]

    bird = by_text(gallery, offered).json()["query"]["understood_as"][0]

    assert bird["label"] == "wading bird"


def test_pages_of_a_text_are_the_whole(gallery):
    whole = by_text(gallery, "sunflower").json()["items"]

    body = by_text(gallery, "sunflower", limit=5).json()
    items = body["items"]
    while body["next_cursor"]:
        body = gallery.client.post("/search/query", json={"cursor": body["next_cursor"]}).json()
        items += body["items"]

    assert items == whole
    assert body["query"]["text"] == "sunflower"


def test_further_pages_say_what_a_text_was_taken_for_and_cursors_stay_short(gallery):
    first = by_text(gallery, "dog", limit=2).json()

    second = gallery.client.post("/search/query", json={"cursor": first["next_cursor"]}).json()

    # The weights of a broad word have 10 kB; proxies and clients limit lines and headers to 4 or 8 kB.
    assert len(first["next_cursor"]) < 1_000
    assert second["query"] == first["query"]


def test_pages_of_a_text_with_examples_are_the_whole(gallery):
    images = [{"image_id": "p3"}]
    whole = by_text(gallery, "dog", images=images).json()["items"]

    body = by_text(gallery, "dog", images=images, limit=5).json()
    items = body["items"]
    while body["next_cursor"]:
        assert len(body["next_cursor"]) < 4_000
        body = gallery.client.post("/search/query", json={"cursor": body["next_cursor"]}).json()
        items += body["items"]

    assert items == whole


def test_pages_of_a_text_go_on_after_pictures_were_added_and_deleted(own_gallery):
    ids = [item["id"] for item in by_text(own_gallery, "boat").json()["items"]]
    body = by_text(own_gallery, "boat", limit=4).json()
    own_gallery.client.delete(f"/images/{ids[1]}")
    own_gallery.client.delete(f"/images/{ids[6]}")
    own_gallery.add(draw(N + 1), ids=["late"])

    later = []
    while body["next_cursor"]:
        body = own_gallery.client.post("/search/query", json={"cursor": body["next_cursor"]}).json()
        later += [item["id"] for item in body["items"]]

    now = [item["id"] for item in by_text(own_gallery, "boat").json()["items"]]
    assert later == now[now.index(ids[3]) + 1 :]
    assert ids[6] not in later


def test_a_cursor_of_words_with_other_weights_is_refused(gallery, monkeypatch):
    cursor = by_text(gallery, "dog", limit=2).json()["next_cursor"]
    monkeypatch.setattr(WeightedBits, "digest", "0" * 16)

    problem = assert_problem(
        gallery.client.post("/search/query", json={"cursor": cursor}), 409, "model_mismatch"
    )

    assert "search again" in problem["detail"]


def test_an_empty_collection_has_no_pictures_of_a_word(api):
    for rank in ("asymmetric", "hamming"):
        body = by_text(api, "dog", rank=rank).json()
        assert (body["items"], body["next_cursor"]) == ([], None)


def test_pictures_of_equal_codes_are_ordered_by_age_on_all_pages(api):
    api.add(*(draw(1) for _ in range(5)), ids=[f"t{i}" for i in range(5)])

    body = by_text(api, "dog", limit=2).json()
    ids = [item["id"] for item in body["items"]]
    while body["next_cursor"]:
        body = api.client.post("/search/query", json={"cursor": body["next_cursor"]}).json()
        ids += [item["id"] for item in body["items"]]

    assert ids == [f"t{i}" for i in range(5)]


@pytest.mark.parametrize("rank", ["asymmetric", "hamming"])
def test_a_radius_bounds_the_distance_to_the_code_of_a_text(gallery, rank):
    whole = by_text(gallery, "boat", rank=rank).json()["items"]
    radius = sorted(item["distance"] for item in whole)[5]

    found = by_text(gallery, "boat", rank=rank, max_distance=radius).json()["items"]
    none = by_text(gallery, "boat", rank=rank, min_score=1.0).json()["items"]

    assert [i["id"] for i in found] == [i["id"] for i in whole if i["distance"] <= radius]
    assert none == []


def test_words_without_influence_are_named(gallery):
    query = by_text(gallery, "red car").json()["query"]

    assert query["understood_as"][0]["ignored"] == "red"
    assert query["confidence"] is None


def test_a_text_is_searched_under_a_filter(gallery):
    whole = by_text(gallery, "boat").json()["items"]
    red = {"must": [{"key": "colour", "match": "red"}]}

    body = by_text(gallery, "boat", filter=red, limit=3).json()

    assert [i["id"] for i in body["items"]] == [i["id"] for i in whole if i["metadata"]["colour"] == "red"][:3]


def test_examples_beside_a_text_attract_and_repel(gallery, codes):
    images = [{"image_id": "p3"}, {"image_id": "p4", "sign": "-"}]

    ids = [item["id"] for item in by_text(gallery, "sunflower", images=images).json()["items"]]
    without = by_text(gallery, "sunflower", images=images, include_self=False).json()["items"]

    alone = [item["id"] for item in by_text(gallery, "sunflower").json()["items"]]
    assert ids.index("p3") == 0
    assert ids.index("p4") >= alone.index("p4")
    assert {item["id"] for item in without} == {f"p{i}" for i in range(N)} - {"p3", "p4"}


def test_hamming_rank_uses_the_code_of_the_text(gallery):
    body = by_text(gallery, "dog", rank="hamming").json()

    distances = [item["distance"] for item in body["items"]]
    assert distances == sorted(distances)
    assert body["cutoff"]["total"] >= 1


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("qqqqzz", None),
        ("日本", None),
        ("123", None),
        ("dog\x00cat", None),
        ("dog and qqqqzz", None),
        ("man", None),
        ("a " * 100, None),
        ("sunflowr", "sunflower"),
        ("dog, helicoptr", "helicopter"),
        ("crane (fish)", "crane (wading bird)"),
    ],
)
def test_a_word_that_nothing_stands_for_is_refused_with_words_that_are_understood(gallery, text, near):
    problem = assert_problem(by_text(gallery, text), 422, "text_not_understood")

    assert problem["errors"][0]["pointer"] == "/text"
    assert near is None or near in problem["detail"]


@pytest.mark.parametrize(
    "text", ["-dog", "- dog", "no dog", " , ;", "()", "\x00", "🐶", "dog," * 9, "dog or cat", "", "x" * 201]
)
def test_a_text_that_names_nothing_or_too_much_is_refused(gallery, text):
    problem = assert_problem(by_text(gallery, text), 422, "validation_failed")

    assert problem["errors"][0]["pointer"] == "/text"


@pytest.mark.parametrize(
    "body", [{"image_id": "p1"}, {"code": "00", "model": "m"}, {"url": "http://x/"}, {"cursor": "x"}]
)
def test_a_text_goes_with_no_other_query(gallery, body):
    assert_problem(by_text(gallery, "dog", **body), 422, "validation_failed")


def test_a_text_has_no_descriptor(gallery):
    problem = assert_problem(by_text(gallery, "dog", rank="descriptor"), 422, "validation_failed")

    assert problem["errors"][0]["pointer"] == "/rank"


def test_a_model_without_class_weights_is_not_searched_by_words(api):
    api.client.post("/collections", json={"name": "small", "model": "paper-32"})

    problem = assert_problem(by_text(api, "dog", collection="small"), 422, "text_not_supported")

    assert "lite2-256" in problem["detail"]


def test_words_are_suggested_for_a_stored_picture(gallery, codes, class_weights):
    items = gallery.client.get("/images/p5/suggestions?limit=3").json()["items"]

    shares = class_shares(unpack_signs(codes[5:6], class_weights.shape[1])[0], class_weights)
    best = np.argsort(-shares, kind="stable")[:3]
    assert [item["word"] for item in items] == [vocabulary().class_names[i] for i in best]
    assert [item["share"] for item in items] == pytest.approx(shares[best].tolist(), abs=1e-4)
    assert all(item["general"] for item in items)


def test_words_are_suggested_on_add_by_choice(api):
    files = [("files", ("a.png", draw(1), "image/png")), ("files", ("b.png", b"no picture", "image/png"))]

    body = api.client.post("/index", files=files, data={"suggest": "true", "ids": '["a", "b"]'}).json()
    again = api.client.post("/index", files=files[:1], data={"suggest": "true", "ids": '["a"]'}).json()
    without = api.client.post("/index", files=files[:1], data={"ids": '["c"]'}).json()

    suggested = api.client.get("/images/a/suggestions").json()["items"]
    assert [item["suggestions"] for item in body["items"]] == [suggested, None]
    assert [(item["status"], item["suggestions"]) for item in again["items"]] == [("unchanged", suggested)]
    assert without["items"][0]["suggestions"] is None


def test_a_picture_is_added_where_no_words_can_be_suggested(api):
    api.client.post("/collections", json={"name": "small", "model": "paper-32"})
    data = {"suggest": "true", "ids": '["a"]', "collection": "small"}

    answer = api.client.post("/index", files=[("files", ("a.png", draw(1), "image/png"))], data=data)

    assert answer.status_code == 201, answer.text
    assert answer.json()["items"][0]["suggestions"] is None
    assert api.client.get("/images/a?collection=small").status_code == 200


def test_all_pictures_are_labelled_as_lines_of_json_and_csv(gallery):
    lines = gallery.client.get("/collections/default/labels?limit=2")
    rows = gallery.client.get("/collections/default/labels?limit=2&format=csv")

    labelled = [json.loads(line) for line in lines.text.splitlines()]
    assert [one["id"] for one in labelled] == [f"p{i}" for i in range(N)]
    for one in labelled:
        assert one["labels"] == gallery.client.get(f"/images/{one['id']}/suggestions?limit=2").json()["items"]
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert rows.headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(rows.text)))
    assert [(row["id"], int(row["rank"]), row["word"]) for row in table] == [
        (one["id"], rank, label["word"]) for one in labelled for rank, label in enumerate(one["labels"], 1)
    ]


def test_labels_of_a_small_share_are_left_out(gallery):
    every = [json.loads(line) for line in gallery.client.get("/collections/default/labels").text.splitlines()]
    shares = sorted(label["share"] for one in every for label in one["labels"])
    bound = shares[len(shares) // 2]

    found = gallery.client.get("/collections/default/labels", params={"min_share": bound}).text.splitlines()

    assert len(found) == N
    kept = [label["share"] for line in found for label in json.loads(line)["labels"]]
    assert kept
    assert min(kept) >= bound - 1e-4
    assert len(kept) < len(shares)


def test_labels_of_an_unknown_collection_or_a_model_without_names_are_refused(api):
    assert_problem(api.client.get("/collections/none/labels"), 404, "unknown_collection")
    api.client.post("/collections", json={"name": "small", "model": "paper-32"})
    assert_problem(api.client.get("/collections/small/labels"), 422, "text_not_supported")
    for params in ({"format": "xml"}, {"limit": 0}, {"min_share": 2}):
        assert_problem(api.client.get("/collections/default/labels", params=params), 422, "validation_failed")


def test_no_words_are_suggested_for_an_unknown_picture_or_by_a_model_without_classes(api):
    assert_problem(api.client.get("/images/none/suggestions"), 404, "unknown_image")
    api.client.post("/collections", json={"name": "small", "model": "paper-32"})
    api.add(draw(1), ids=["a"], collection="small")

    assert_problem(api.client.get("/images/a/suggestions?collection=small"), 422, "text_not_supported")
