"""``rank=auto``, regions of the query, and results that differ from each other."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from app.services.searching import reranking
from tests.api.conftest import assert_problem, draw

N = 14
CANDIDATES = 5


def add_gallery(api):
    answer = api.add(*(draw(i) for i in range(N)), ids=[f"p{i}" for i in range(N)])
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


@pytest.fixture
def few_candidates(monkeypatch):
    monkeypatch.setattr(reranking, "CANDIDATES", CANDIDATES)


def ids(body):
    return [item["id"] for item in body["items"]]


def ask(api, **body):
    answer = api.client.post("/search/query", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def pages(api, body):
    items = list(body["items"])
    while body["next_cursor"]:
        body = ask(api, cursor=body["next_cursor"])
        items += body["items"]
    return items, body


def as_png(pixels):
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


# ---- auto -----------------------------------------------------------------------------------------


def test_auto_orders_the_nearest_by_descriptors_and_the_others_by_distance(gallery, few_candidates):
    by_code = ask(gallery, image_id="p3", rank="hamming")
    # The query's own picture has the same perceptual hash, so it is not one of the candidates.
    ordered = CANDIDATES + 1
    by_descriptor = ask(gallery, image_id="p3", rank="descriptor", limit=ordered)

    body = ask(gallery, image_id="p3", limit=3)
    items, last = pages(gallery, body)

    assert body["ranked_by"] == last["ranked_by"] == "descriptor"
    assert body["cutoff"] is None
    assert by_code["ranked_by"] == "hamming"
    assert [item["id"] for item in items] == ids(by_descriptor) + ids(by_code)[ordered:]
    assert sorted(ids(by_descriptor)) == sorted(ids(by_code)[:ordered])
    assert [item["rank_distance"] is None for item in items] == [i >= ordered for i in range(N)]
    assert [item["rank"] for item in items] == list(range(1, N + 1))
    assert last["cutoff"]["returned"] == last["cutoff"]["total"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "more",
    [{}, {"max_distance": 120}, {"diversify": 0.5}, {"rank": "expanded"}, {"rank": "expanded", "colour": 0.3}],
)
def test_pages_of_auto_are_one_list(gallery, few_candidates, limit, more):
    expected = sorted(ids(ask(gallery, image_id="p3", limit=50, **more | {"diversify": 0})))
    items, _ = pages(gallery, ask(gallery, image_id="p3", limit=limit, **more))

    assert sorted(item["id"] for item in items) == expected
    if limit <= CANDIDATES:
        again, _ = pages(gallery, ask(gallery, image_id="p3", limit=CANDIDATES, **more))
        assert [item["id"] for item in items] == [item["id"] for item in again]


def test_pictures_stay_on_their_side_of_the_candidates(own_gallery, few_candidates):
    before = ids({"items": pages(own_gallery, ask(own_gallery, image_id="p3", limit=3))[0]})
    first = ask(own_gallery, image_id="p3", limit=3)
    own_gallery.add(draw(3), draw(3), draw(3), ids=["new1", "new2", "new3"], metadata=[{}, {}, {}])
    gone = before[4]
    own_gallery.client.delete(f"/images/{gone}")

    items, _ = pages(own_gallery, first)

    old = [item["id"] for item in items if not item["id"].startswith("new")]
    assert old == [one for one in before if one != gone]


@pytest.mark.parametrize(("rank", "ranked_by"), [("auto", "descriptor"), ("expanded", "expanded")])
def test_an_upload_is_ranked_like_the_stored_picture(gallery, few_candidates, rank, ranked_by):
    upload = gallery.search(draw(3), limit=4, rank=rank).json()
    stored = ask(gallery, image_id="p3", limit=4, rank=rank)

    assert upload["items"] == [item | {"exact": item["exact"]} for item in stored["items"]]
    assert upload["ranked_by"] == ranked_by


def test_auto_is_the_distance_where_nothing_finer_is_known(gallery):
    by_id = ask(gallery, image_id="p3", rank="hamming")
    by_code = ask(gallery, code=by_id["query"]["code"], model=by_id["index"]["model"])
    by_examples = ask(gallery, images=[{"image_id": "p3"}])

    assert [by_code["ranked_by"], by_examples["ranked_by"]] == ["hamming", "hamming"]
    assert ids(by_code) == ids(by_examples) == ids(by_id)
    assert by_code["cutoff"] is not None


def test_auto_takes_a_model_without_descriptors(api):
    api.client.post("/collections", json={"name": "small", "model": "paper-32"})
    api.add(draw(1), draw(2), ids=["a", "b"], collection="small")

    body = api.search(draw(1), collection="small").json()

    assert (body["ranked_by"], body["items"][0]["rank_distance"]) == ("hamming", None)


def test_a_text_is_ranked_by_weighted_bits(gallery):
    assert ask(gallery, text="dog")["ranked_by"] == "asymmetric"


def test_a_batch_ranks_as_single_searches_do(gallery, few_candidates):
    code = ask(gallery, image_id="p3")["query"]["code"]
    queries = [{"image_id": "p3"}, {"code": code, "model": "lite2-256"}, {"image_id": "p7"}]

    answer = gallery.client.post("/search/batch", json={"queries": queries, "limit": 4}).json()

    singles = [ask(gallery, **query, limit=4) for query in queries]
    assert [one["items"] for one in answer["items"]] == [one["items"] for one in singles]
    assert [one["ranked_by"] for one in answer["items"]] == ["descriptor", "hamming", "descriptor"]
    rest = [pages(gallery, one)[0] for one in answer["items"]]
    assert rest == [pages(gallery, one)[0] for one in singles]


def test_expanded_averages_the_candidates_over_their_neighbours(gallery, few_candidates):
    by_descriptor = ask(gallery, image_id="p3", rank="descriptor", limit=CANDIDATES + 1)
    body = ask(gallery, image_id="p3", rank="expanded", limit=CANDIDATES + 1)

    assert body["ranked_by"] == "expanded"
    assert body["items"][0]["id"] == "p3"
    assert sorted(ids(body)) == sorted(ids(by_descriptor))
    own = {item["id"]: item["rank_distance"] for item in by_descriptor["items"]}
    # Means over so many neighbours are nearer to each other than the descriptors are.
    assert all(item["rank_distance"] <= own[item["id"]] for item in body["items"])
    assert any(0 < item["rank_distance"] < own[item["id"]] - 0.01 for item in body["items"])


def test_pages_of_expanded_return_no_picture_twice_while_candidates_are_deleted(own_gallery, few_candidates):
    before = ids({"items": pages(own_gallery, ask(own_gallery, image_id="p3", rank="expanded", limit=2))[0]})
    first = ask(own_gallery, image_id="p3", rank="expanded", limit=2)
    gone = before[3]
    own_gallery.client.delete(f"/images/{gone}")

    items, _ = pages(own_gallery, first)

    assert sorted(item["id"] for item in items) == sorted(one for one in before if one != gone)


@pytest.mark.parametrize("rank", ["auto", "expanded"])
def test_a_batch_of_one_rank_answers_as_single_searches_do(gallery, few_candidates, rank):
    queries = [{"image_id": "p3"}, {"image_id": "p7"}]

    answer = gallery.client.post("/search/batch", json={"queries": queries, "limit": 4, "rank": rank}).json()

    singles = [ask(gallery, **query, limit=4, rank=rank) for query in queries]
    assert [one["items"] for one in answer["items"]] == [one["items"] for one in singles]


def test_the_nearest_orientation_has_the_nearest_descriptor(gallery):
    turned = np.rot90(np.asarray(Image.open(io.BytesIO(draw(5))).convert("RGB")))

    body = gallery.search(as_png(turned), orientations=4).json()

    first = body["items"][0]
    assert (first["id"], first["orientation"]) == ("p5", 6)
    assert first["rank_distance"] <= 0
    assert body["ranked_by"] == "descriptor"


# ---- perceptual matches ---------------------------------------------------------------------------


def grey():
    """Picture 9 without its colours: another code and another descriptor, but the same perceptual hash."""
    return as_png(np.asarray(Image.open(io.BytesIO(draw(9))).convert("L").convert("RGB")))


def test_a_perceptual_match_comes_first(gallery, monkeypatch):
    monkeypatch.setattr(reranking, "CANDIDATES", 1)
    by_code = gallery.search(grey(), rank="hamming").json()
    by_descriptor = gallery.search(grey(), rank="descriptor", limit=N).json()

    body = gallery.search(grey(), limit=2).json()
    items, _ = pages(gallery, body)

    assert ids(by_code)[0] != "p9"
    assert body["items"][0]["id"] == "p9"
    assert -1 <= body["items"][0]["rank_distance"] < 0
    assert all(item["rank_distance"] >= 0 for item in by_descriptor["items"])
    assert sorted(item["id"] for item in items) == sorted(ids(by_code))


@pytest.mark.parametrize(
    "limits",
    [
        {"filter": '{"must_not": [{"key": "place", "match": 9}]}'},
        {"max_distance": 0},
    ],
)
def test_a_match_passes_filter_and_bound_or_is_left_out(api, limits):
    api.add(
        *(draw(i) for i in range(N)), ids=[f"p{i}" for i in range(N)], metadata=[{"place": i} for i in range(N)]
    )

    assert "p9" not in ids(api.search(grey(), **limits).json())


def detailed(seed):
    """A picture with enough detail for a perceptual hash."""
    colours = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(colours).resize((96, 96), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    "limits", [{}, {"max_distance": 3}, {"filter": {"must": [{"key": "shelf", "match": 1}]}}]
)
def test_pages_of_copies_alone_continue(api, limits):
    others = [] if not limits else [as_png(detailed(2))]
    contents = [*([as_png(detailed(1))] * 4), *others]
    names = ["a", "b", "c", "d", "other"][: len(contents)]
    api.add(*contents, ids=names, metadata=[{"shelf": 1 if name in "abcd" else 2} for name in names])

    first = ask(api, image_id="b", limit=1, **limits)
    api.add(as_png(detailed(1)), ids=["later"], metadata=[{"shelf": 1}])
    items, _ = pages(api, first)

    # What comes after a first page without candidates follows by distance.
    assert [item["id"] for item in items] == ["a", "b", "c", "d", "later"]


def test_the_picture_itself_comes_before_an_older_one_with_an_equal_hash(api):
    # The hash is the same for grey pixels of half the brightness.
    older = np.repeat(detailed(1)[:, :, :1] // 2, 3, axis=2)
    api.add(as_png(older), as_png(2 * older), as_png(detailed(2)), ids=["older", "own", "other"])

    items = ask(api, image_id="own", limit=3)["items"]

    assert [item["id"] for item in items] == ["own", "older", "other"]
    assert items[0]["rank_distance"] == -1 < items[1]["rank_distance"] < -1 + 1 / 256


@pytest.fixture
def shelf(shared_api, request):
    """An empty collection of a shared service."""
    name = re.sub(r"\W+", "-", request.node.name).strip("-").lower()
    made = shared_api.client.post("/collections", json={"name": name})
    assert made.status_code == 201, made.text
    return name


@pytest.mark.parametrize("turn", [np.fliplr, np.rot90, np.flipud], ids=["mirrored", "turned", "upside-down"])
def test_turned_copies_follow_upright_ones(shared_api, shelf, turn):
    original = detailed(1)
    dim = original // 4 * 3
    turned = np.ascontiguousarray(turn(original))
    others = [as_png(detailed(seed)) for seed in range(2, 8)]
    names = ["turned", "dim", *(f"p{i}" for i in range(len(others)))]
    shared_api.add(as_png(turned), as_png(dim), *others, ids=names, collection=shelf)

    body, rest, by_distance = (
        shared_api.search(as_png(original), limit=3, collection=shelf, **fields).json()
        for fields in ({}, {"orientations": 2}, {"rank": "descriptor"})
    )

    assert ids(body)[:2] == ["dim", "turned"]
    assert set(ids(rest)[:2]) == {"dim", "turned"}
    dim_distance, turned_distance, next_distance = [item["rank_distance"] for item in body["items"]]
    assert dim_distance < -0.9 < turned_distance < -0.75 < 0 <= next_distance
    assert body["items"][1]["orientation"] is None
    assert all(item["rank_distance"] >= 0 for item in by_distance["items"])


def test_a_mirrored_stored_picture_is_a_match(shared_api, shelf):
    original = detailed(1)
    others = [as_png(detailed(seed)) for seed in range(2, 8)]
    mirrored = as_png(np.ascontiguousarray(original[:, ::-1]))
    names = ["own", *(f"p{i}" for i in range(len(others))), "mirrored"]
    shared_api.add(as_png(original), *others, mirrored, ids=names, collection=shelf)

    items = ask(shared_api, image_id="own", limit=2, collection=shelf)["items"]

    assert [item["id"] for item in items] == ["own", "mirrored"]
    assert items[1]["rank_distance"] < -0.75


# ---- regions --------------------------------------------------------------------------------------


def screenshot():
    """Picture 5 between even bands, with a strip of pixels above."""
    shown = np.asarray(Image.open(io.BytesIO(draw(5))).convert("RGB"))
    height, width = shown.shape[:2]
    screen = np.zeros((4 * height, width, 3), np.uint8)
    screen[2:5, 2:10] = 255
    screen[2 * height : 3 * height] = shown
    return screen, (0.0, 0.5, 1.0, 0.25)


def region_of(item):
    region = item["region"]
    return tuple(region[name] for name in ("x", "y", "width", "height"))


@pytest.mark.parametrize("fields", [{}, {"regions": "auto"}, {"regions": "borders"}])
def test_the_content_of_a_screenshot_is_found_and_shown(gallery, fields):
    pixels, region = screenshot()

    whole = gallery.search(as_png(pixels), regions="none").json()
    body = gallery.search(as_png(pixels), **fields).json()

    assert whole["items"][0]["region"] is None
    assert whole["items"][0]["rank_distance"] > 0
    first = body["items"][0]
    assert (first["id"], first["rank_distance"]) == ("p5", -1.0)
    assert region_of(first) == pytest.approx(region, abs=0.01)
    assert body["query"]["code"] == whole["query"]["code"]


def test_a_bordered_copy_is_a_perceptual_match(shared_api, shelf):
    names = [f"p{i}" for i in range(6)]
    shared_api.add(*(as_png(detailed(seed)) for seed in range(6)), ids=names, collection=shelf)
    bordered = np.pad(detailed(3), ((80, 80), (60, 60), (0, 0)), constant_values=255)

    def items(pixels, **fields):
        return shared_api.search(as_png(pixels), limit=2, collection=shelf, **fields).json()["items"]

    [first, _], by_code = items(bordered), items(bordered, rank="hamming")

    assert first["id"] == items(np.ascontiguousarray(bordered[:, ::-1]))[0]["id"] == "p3"
    assert first["rank_distance"] < -0.95
    assert first["region"]["width"] == pytest.approx(detailed(3).shape[1] / bordered.shape[1], abs=0.02)
    assert all(item["region"] is None for item in by_code)


def test_pictures_without_borders_have_no_regions(gallery):
    assert all(item["region"] is None for item in gallery.search(draw(3)).json()["items"])


def test_regions_of_a_crop_are_those_of_the_whole_picture(gallery):
    pixels, region = screenshot()
    crop = {"x": 0, "y": 0.25, "width": 1, "height": 0.75}

    first = gallery.search(as_png(pixels), regions="auto", crop=crop).json()["items"][0]

    assert first["id"] == "p5"
    assert region_of(first) == pytest.approx(region, abs=0.01)


@pytest.mark.parametrize("rank", ["auto", "hamming"])
def test_pages_of_regions_are_one_list(gallery, few_candidates, rank):
    content = as_png(screenshot()[0])
    whole, _ = pages(gallery, gallery.search(content, regions="auto", rank=rank, limit=5).json())

    items, _ = pages(gallery, gallery.search(content, regions="auto", rank=rank, limit=3).json())

    assert items == whole
    assert len(items) == N


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"regions": "auto", "orientations": 8}, "/regions"),
        ({"regions": "auto", "rank": "asymmetric"}, "/rank"),
        ({"regions": "all"}, "/regions"),
        ({"diversify": 1.5}, "/diversify"),
        ({"diversify": 0.5, "rank": "asymmetric"}, "/diversify"),
    ],
)
def test_what_does_not_go_together_is_refused(gallery, fields, pointer):
    body = assert_problem(gallery.search(draw(1), **fields), 422, "validation_failed")

    assert body["errors"][0]["pointer"] == pointer


# ---- diversity ------------------------------------------------------------------------------------


def test_a_burst_does_not_fill_a_page(api):
    api.add(*([draw(1)] * 6), draw(2), draw(3), ids=[*(f"burst{i}" for i in range(6)), "b", "c"])

    usual = ask(api, image_id="burst0", limit=3)
    varied = ask(api, image_id="burst0", limit=3, diversify=0.7)
    items, _ = pages(api, varied)

    assert ids(usual) == ["burst0", "burst1", "burst2"]
    assert ids(varied)[0] == "burst0"
    assert set(ids(varied)[1:]) == {"b", "c"}
    assert sorted(item["id"] for item in items) == ["b", *(f"burst{i}" for i in range(6)), "c"]
    assert ids(ask(api, image_id="burst0", limit=3, diversify=0)) == ids(usual)


def test_codes_are_diversified_by_their_codes(api):
    api.add(*([draw(1)] * 4), draw(2), ids=[*(f"burst{i}" for i in range(4)), "b"])
    query = ask(api, image_id="burst0")

    body = ask(api, code=query["query"]["code"], model=query["index"]["model"], diversify=0.7, limit=2)

    assert (ids(body), body["ranked_by"]) == (["burst0", "b"], "hamming")


@pytest.mark.parametrize("query", [{"text": "dog"}, {"images": [{"image_id": "p1"}]}])
def test_several_pictures_and_words_are_not_diversified(gallery, query):
    answer = gallery.client.post("/search/query", json=query | {"diversify": 0.5})

    assert assert_problem(answer, 422, "validation_failed")["errors"][0]["pointer"] == "/diversify"


def test_a_replaced_picture_is_ranked_by_its_new_descriptor(own_gallery):
    before = ask(own_gallery, image_id="p3", rank="descriptor")
    own_gallery.client.put("/images/p5", content=draw(3), headers={"Content-Type": "image/png"})
    own_gallery.client.put("/images/p6", content=draw(99), headers={"Content-Type": "image/png"})

    after = ask(own_gallery, image_id="p3", rank="descriptor")
    uploaded = own_gallery.search(draw(99), rank="descriptor", limit=1).json()

    assert ids(before)[0] == "p3"
    assert {item["id"]: item["rank_distance"] for item in after["items"]}["p5"] == 0
    assert (ids(uploaded), uploaded["items"][0]["rank_distance"]) == (["p6"], 0)
