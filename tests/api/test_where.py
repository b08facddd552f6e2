"""Words that are looked for in metadata, alone or before what pictures show."""

import pytest

from tests.api.conftest import assert_problem, draw

N = 12
TITLES = ["A dog at the Beach", "zorb, red_car", "Zorb & dog", "ＤＯＧ-house"]


def add_gallery(api):
    metadata = [
        {"title": TITLES[i % 6]} if i % 6 < 4 else {"n": i, "deep": {"tags": ["x", "cat"]}} for i in range(N)
    ]
    answer = api.add(*(draw(i) for i in range(N)), ids=[f"p{i}" for i in range(N)], metadata=metadata)
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


def ids(body):
    return [item["id"] for item in body["items"]]


def all_pages(api, text, **fields):
    body = by_text(api, text, **fields).json()
    items = body["items"]
    while body["next_cursor"]:
        body = api.client.post("/search/query", json={"cursor": body["next_cursor"]}).json()
        items += body["items"]
    return items


DOGS = {f"p{i}" for i in (0, 2, 3, 6, 8, 9)}


def test_pictures_with_the_words_come_by_their_looks(gallery):
    whole = ids(by_text(gallery, "dog").json())

    body = by_text(gallery, "Dog", where="metadata").json()

    assert ids(body) == [i for i in whole if i in DOGS]
    assert all(item["in_metadata"] for item in body["items"])
    assert body["query"]["understood_as"][0]["word"] == "dog"
    assert body["index"]["searched"] == N


@pytest.mark.parametrize("limit", [1, 4, 5, 6, 7, 100])
def test_both_puts_the_matches_first_on_pages_that_are_the_whole(gallery, limit):
    whole = ids(by_text(gallery, "dog").json())

    items = all_pages(gallery, "dog", where="both", limit=limit)

    wanted = [i for i in whole if i in DOGS] + [i for i in whole if i not in DOGS]
    assert [item["id"] for item in items] == wanted
    assert [item["in_metadata"] for item in items] == [i in DOGS for i in wanted]
    assert [item["rank"] for item in items] == list(range(1, N + 1))


@pytest.mark.parametrize("where", ["metadata", "both"])
def test_words_that_are_not_understood_are_found_by_age(gallery, where):
    assert_problem(by_text(gallery, "zorb"), 422, "text_not_understood")

    items = all_pages(gallery, "zorb", where=where, limit=3)

    assert [item["id"] for item in items] == ["p1", "p2", "p7", "p8"]
    assert {(item["distance"], item["score"], item["rank_distance"]) for item in items} == {(0, 1.0, 0.0)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("red car", {"p1", "p7"}),
        ("dog, zorb", {"p2", "p8"}),
        ("zorb -dog", {"p1", "p7"}),
        ("zorb without a dog", {"p1", "p7"}),
        ("zorb -red car", {"p2", "p8"}),
        ("zorb -red dog", {"p1", "p2", "p7", "p8"}),
        ("the dog and the beach", {"p0", "p6"}),
        ("cat", {"p4", "p5", "p10", "p11"}),
        ("do", set()),
        ("qqqqzz", set()),
    ],
)
def test_every_word_must_occur_in_some_text(gallery, text, found):
    assert set(ids(by_text(gallery, text, where="metadata").json())) == found


def test_nothing_found_by_either_way_is_said(gallery):
    problem = assert_problem(by_text(gallery, "qqqqzz", where="both"), 422, "text_not_understood")

    assert problem["detail"].startswith("'qqqqzz' is not understood")
    assert problem["detail"].endswith("; no metadata contain the words")


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({}, 'add "where": "metadata" to look for the words in the texts of metadata'),
        ({"rank": "hamming"}, 'add "where": "metadata" and use rank auto to look for'),
        (
            {"where": "both", "max_distance": 90},
            'add "where": "metadata", without max_distance and min_score, to look',
        ),
    ],
)
def test_a_refusal_says_how_to_look_in_metadata(gallery, options, remedy):
    problem = assert_problem(by_text(gallery, "zorb", **options), 422, "text_not_understood")

    assert remedy in problem["detail"]


def test_metadata_are_searched_under_a_filter_and_beside_examples(gallery):
    only = {"must": [{"key": "title", "match": TITLES[2]}]}

    filtered = all_pages(gallery, "dog", where="both", filter=only, limit=1)
    others = all_pages(gallery, "beach", where="both", filter={"must_not": only["must"]}, limit=4)
    near = by_text(gallery, "dog", where="metadata", images=[{"image_id": "p8"}], limit=1).json()

    assert {item["id"] for item in filtered} == {"p2", "p8"}
    assert {item["id"] for item in others[:2]} == {"p0", "p6"}
    assert len(others) == N - 2
    assert ids(near) == ["p8"]


def test_changed_metadata_are_found_at_once(own_gallery):
    assert len(all_pages(own_gallery, "zorb", where="metadata")) == 4

    own_gallery.client.patch("/images/p1", json={"metadata": {"title": "else"}})
    own_gallery.client.patch("/images/p4", json={"metadata": {"title": "ZORB"}})
    own_gallery.client.delete("/images/p7")

    assert ids(by_text(own_gallery, "zorb", where="metadata").json()) == ["p2", "p4", "p8"]


def test_words_are_found_by_a_model_without_names(api):
    api.client.post("/collections", json={"name": "small", "model": "paper-32"})
    api.add(draw(1), ids=["a"], metadata=[{"title": "my dog"}], collection="small")

    assert ids(by_text(api, "dog", where="both", collection="small").json()) == ["a"]
    assert_problem(by_text(api, "cat", where="both", collection="small"), 422, "text_not_supported")


def test_metadata_keys_do_not_show_the_words(gallery):
    keys = gallery.client.get("/collections/default/metadata").json()["items"]

    assert [one["key"] for one in keys] == ["deep.tags", "n", "title"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"text": "dog", "where": "nowhere"}, "/where"),
        ({"text": "-dog", "where": "metadata"}, "/text"),
        ({"text": "dog or cat", "where": "metadata"}, "/text"),
        ({"text": "dog", "where": "both", "rank": "hamming"}, "/rank"),
    ],
)
def test_wrong_requests_are_refused(gallery, body, pointer):
    problem = assert_problem(gallery.client.post("/search/query", json=body), 422, "validation_failed")
    assert problem["errors"][0]["pointer"] == pointer


def test_where_needs_a_text(gallery):
    answer = gallery.client.post("/search/query", json={"image_id": "p1", "where": "metadata"})
    assert "where needs a text" in assert_problem(answer, 422, "validation_failed")["detail"].lower()
