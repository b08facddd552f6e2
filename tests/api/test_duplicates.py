"""``GET /duplicates``: exact groups, paged, bounded."""

import pytest
from PIL import Image, ImageOps

from app.api.app import create_app
from app.services.searching import duplicates
from app.settings import Settings
from tests.api.conftest import Api, assert_problem, draw, local_client
from tests.fixtures.pictures import encoded
from tests.unit.encoding.test_perceptual import scene


def add_gallery(api):
    """Three copies of one picture, two of another of which one is another file, and four single ones."""
    contents = [draw(1), draw(50), draw(1), draw(2), draw(51), draw(2, kind="BMP"), draw(52), draw(1), draw(53)]
    ids = ["a1", "x1", "a2", "b1", "x2", "b2", "x3", "a3", "x4"]
    answer = api.add(*contents, ids=ids, metadata=[{"shelf": i % 2} for i in range(9)])
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


def groups(answer):
    assert answer.status_code == 200, answer.text
    return [[image["id"] for image in group["images"]] for group in answer.json()["items"]]


def test_copies_are_grouped_by_their_oldest(gallery):
    answer = gallery.client.get("/duplicates?max_distance=0")

    assert groups(answer) == [["a1", "a2", "a3"], ["b1", "b2"]]
    body = answer.json()
    assert (body["groups"], body["images"], body["max_distance"], body["next_cursor"]) == (2, 5, 0, None)
    assert [image["exact"] for image in body["items"][0]["images"]] == [True, True, True]
    assert [image["exact"] for image in body["items"][1]["images"]] == [True, False]
    assert body["items"][0]["size"] == 3
    assert body["items"][0]["images"][0]["thumbnail_url"] == "/images/a1/thumbnail?size=256"


def photo(seed, **save):
    """A picture with enough detail for a perceptual hash."""
    return encoded(Image.fromarray(scene(seed, 240, 320)), save.pop("kind", "PNG"), **save)


def edited_photo(seed, edit):
    return encoded(edit(Image.fromarray(scene(seed, 240, 320))), "JPEG", quality=90)


@pytest.fixture(scope="module")
def copies(tmp_path_factory, make_data_dir):
    """Two photographs, copies of the first, and a flat picture twice, once as the same file."""
    settings = Settings(data_dir=make_data_dir(tmp_path_factory.mktemp("copies") / "data"), decode_children=1)
    flat = encoded(Image.linear_gradient("L").point(lambda level: level // 16).convert("RGB"), "PNG")
    with local_client(create_app(settings, load_first=True)) as client:
        api = Api(client)
        contents = {
            "photo": photo(1),
            "poor": photo(1, kind="JPEG", quality=10),
            "small": edited_photo(1, lambda p: p.resize((96, 72))),
            "grey": edited_photo(1, ImageOps.grayscale),
            "mirrored": edited_photo(1, ImageOps.mirror),
            "other": photo(2),
            "flat": flat,
            "flat2": flat,
        }
        answer = api.add(*contents.values(), ids=list(contents))
        assert answer.status_code == 200, answer.text
        yield api


def test_by_default_edited_copies_are_grouped_and_nothing_else(copies):
    answer = copies.client.get("/duplicates")

    assert groups(answer) == [["photo", "poor", "small", "grey", "mirrored"], ["flat", "flat2"]]
    body = answer.json()
    assert (body["max_distance"], body["max_descriptor_distance"]) == (None, None)
    assert "fewer than 0.1 wrong pairs among the 15 pairs of 6 pictures" in body["rule"]["meaning"]
    assert body["rule"]["expected_false_pairs"] == 0
    assert body["pending"] == 0


def test_pictures_called_different_are_in_no_group_until_that_is_taken_back(copies):
    client, pair = copies.client, {"ids": ["grey", "photo"]}
    everything = groups(client.get("/duplicates"))

    assert client.post("/duplicates/different", json=pair).json() == {"pairs": 1}
    assert client.post("/duplicates/different", json=pair).json() == {"pairs": 0}
    apart = groups(client.get("/duplicates"))
    by_codes = groups(client.get("/duplicates?max_distance=256"))
    listed = client.get("/duplicates/different").json()
    assert client.post("/duplicates/different/delete", json=pair).json() == {"pairs": 1}

    assert not [group for group in (*apart, *by_codes) if {"grey", "photo"} <= set(group)]
    assert listed == {"items": [["photo", "grey"]], "next_cursor": None}
    assert client.get("/duplicates/different").json()["items"] == []
    assert groups(client.get("/duplicates")) == everything
    missing = client.post("/duplicates/different", json={"ids": ["photo", "nothing"]})
    assert_problem(missing, 404, "unknown_image")
    for wrong in ("\0", "x" * 10_000, "a b"):
        refused = client.post("/duplicates/different", json={"ids": ["photo", wrong]})
        assert_problem(refused, 422, "validation_failed")
        assert len(refused.content) < 1_000
    alone = client.post("/duplicates/different", json={"ids": ["photo", "photo"]})
    assert "two different pictures" in assert_problem(alone, 422, "validation_failed")["detail"]


STORED = ("photo", "poor", "small", "grey", "mirrored", "other", "flat", "flat2")


def likenesses(body) -> dict[str, str | None]:
    return {item["id"]: item["likeness"] for item in body["items"]}


@pytest.mark.parametrize("rank", ["auto", "descriptor", "hamming"])
def test_each_result_is_called_what_compare_calls_it(copies, rank):
    body = copies.client.post("/search", json={"image_id": "photo", "rank": rank}).json()

    found = likenesses(body)
    assert found["photo"] == "exact"
    assert {found[name] for name in ("poor", "small", "grey", "mirrored")} == {"copy"}
    for name in STORED[1:]:
        compared = copies.client.post("/compare/stored", json={"first": "photo", "second": name}).json()
        assert found[name] == compared["likeness"], name
    assert not {found[name] for name in ("other", "flat", "flat2")} & {"exact", "copy"}


def test_uploads_pages_and_batches_say_what_a_stored_picture_is(copies):
    whole = likenesses(copies.client.post("/search", json={"image_id": "poor"}).json())
    content = copies.client.get("/images/poor/content").content

    uploaded = copies.search(content).json()
    batch = copies.client.post("/search/batch", json={"queries": [{"image_id": "poor"}]}).json()
    first = copies.client.post("/search", json={"image_id": "poor", "rank": "hamming", "limit": 3}).json()
    pages = likenesses(first)
    while first["next_cursor"]:
        first = copies.client.post("/search", json={"cursor": first["next_cursor"]}).json()
        pages |= likenesses(first)
    by_code = copies.client.post(
        "/search", json={"code": uploaded["query"]["code"], "model": uploaded["index"]["model"]}
    ).json()

    by_outputs = copies.search(content, rank="asymmetric").json()
    assert likenesses(uploaded) == likenesses(batch["items"][0]) == pages == whole == likenesses(by_outputs)
    assert set(likenesses(by_code).values()) == {None}


@pytest.mark.parametrize("is_cropped", [False, True])
def test_a_collage_is_no_copy_of_a_picture_in_it(copies, is_cropped):
    collage = Image.fromarray(scene(9, 600, 800))
    for i, seed in enumerate((1, 5, 6, 7)):
        collage.paste(Image.fromarray(scene(seed, 240, 320)), (80 + i % 2 * 320, 60 + i // 2 * 240))
    crop = {"crop": '{"x": 0.1, "y": 0.1, "width": 0.8, "height": 0.8}'} if is_cropped else {}
    if not is_cropped:
        collage = collage.crop((80, 60, 720, 540))

    found = copies.search(encoded(collage, "PNG"), regions="auto", **crop).json()["items"]

    [hit] = [item for item in found if item["id"] == "photo"]
    assert hit["region"]["width"] < 0.6
    assert hit["likeness"] != "copy"


def test_an_equal_code_alone_makes_no_copy(copies):
    flat = likenesses(copies.client.post("/search", json={"image_id": "flat"}).json())

    assert flat["flat2"] == "exact"
    assert "copy" not in flat.values()


def test_copies_of_stored_pictures_are_reported_left_out_or_refused_while_adding(copies):
    dim = edited_photo(1, lambda p: p.point(lambda level: level * 3 // 4))
    new = photo(9)

    plain = copies.add(dim, ids=["dim0"]).json()["items"][0]
    left_out = copies.add(dim, new, ids=["dim1", "new"], on_near_duplicate="skip").json()
    refused = copies.add(dim, ids=["dim2"], on_near_duplicate="error")
    reported = copies.add(dim, ids=["dim3"], on_near_duplicate="report")

    assert plain["near_duplicates"] is None
    assert [item["status"] for item in left_out["items"]] == ["near_duplicate", "created"]
    assert left_out["items"][1]["near_duplicates"] == []
    assert left_out["items"][0]["error"]["code"] == "near_duplicate_exists"
    assert "dim0" in assert_problem(refused, 409, "near_duplicate_exists")["detail"]
    assert reported.status_code == 201
    near = {one["id"]: one for one in reported.json()["items"][0]["near_duplicates"]}
    assert {"photo", "poor", "small", "grey", "mirrored", "dim0"} == near.keys()
    assert (near["dim0"]["exact"], near["dim0"]["hash_distance"]) == (True, 0)
    assert near["photo"]["descriptor_distance"] > 0
    assert copies.client.get("/images/dim1").status_code == copies.client.get("/images/dim2").status_code == 404
    for image_id in ("dim0", "dim3", "new"):
        assert copies.client.delete(f"/images/{image_id}").status_code in {200, 204}


def test_flat_pictures_are_copies_of_equal_files_only_while_adding(copies):
    other = encoded(Image.new("RGB", (80, 60), (2, 2, 2)), "JPEG")
    flat = copies.client.get("/images/flat/content").content

    [one, two] = copies.add(other, flat, ids=["dark", "flat3"], on_near_duplicate="report").json()["items"]

    assert one["near_duplicates"] == []
    assert {near["id"] for near in two["near_duplicates"]} == {"flat", "flat2"}
    for image_id in ("dark", "flat3"):
        copies.client.delete(f"/images/{image_id}")


def test_a_wide_radius_joins_everything(gallery):
    body = gallery.client.get("/duplicates?max_distance=1000").json()

    assert [group["size"] for group in body["items"]] == [9]
    first = body["items"][0]["images"][0]["id"]
    found = gallery.client.post("/search", json={"image_id": first}).json()["items"]
    assert {i["id"]: i["distance"] for i in body["items"][0]["images"]} == {
        i["id"]: i["distance"] for i in found
    }


def test_pages_are_all_groups(gallery):
    first = gallery.client.get("/duplicates?max_distance=0&limit=1")

    second = gallery.client.get(
        "/duplicates", params={"max_distance": 0, "limit": 1, "cursor": first.json()["next_cursor"]}
    )

    assert groups(first) + groups(second) == [["a1", "a2", "a3"], ["b1", "b2"]]
    assert second.json()["next_cursor"] is None
    other = gallery.client.get("/duplicates", params={"max_distance": 1, "cursor": first.json()["next_cursor"]})
    assert_problem(other, 422, "validation_failed")


def test_changes_show_at_once(own_gallery):
    assert ["b1", "b2"] in groups(own_gallery.client.get("/duplicates?max_distance=0"))

    own_gallery.client.delete("/images/b2")
    own_gallery.add(draw(52), ids=["x3-again"])

    assert groups(own_gallery.client.get("/duplicates?max_distance=0")) == [
        ["a1", "a2", "a3"],
        ["x3", "x3-again"],
    ]


def test_a_filter_leaves_pictures_out(gallery):
    shelf = '{"must": [{"key": "shelf", "match": 0}]}'

    answer = gallery.client.get("/duplicates", params={"max_distance": 0, "filter": shelf})

    assert groups(answer) == [["a1", "a2"]]


def test_too_many_pictures_are_refused_with_an_estimate(own_gallery, monkeypatch):
    real = duplicates.groups_within
    monkeypatch.setattr(duplicates, "groups_within", lambda *a, **k: real(*a, **k, max_comparisons=3))

    body = assert_problem(own_gallery.client.get("/duplicates?max_distance=5"), 422, "too_many_pictures")

    assert "would take about" in body["detail"]
    assert own_gallery.client.get("/duplicates?max_distance=0").status_code == 200


def test_both_bounds_keep_different_pictures_apart(gallery):
    """All codes are within 1,000 bits, so the descriptors decide: as they do in pairs."""
    wide = {"max_distance": 1000, "max_descriptor_distance": 0.05}

    answer = gallery.client.get("/duplicates", params=wide)

    assert groups(answer) == grouped_by_comparisons(gallery, 0.05)
    assert answer.json()["groups"] > 1
    assert groups(gallery.client.get("/duplicates", params=wide | {"max_descriptor_distance": 2})) == [
        ["a1", "x1", "a2", "b1", "x2", "b2", "x3", "a3", "x4"]
    ]


def grouped_by_comparisons(gallery, bound):
    """Connect what ``/compare`` calls near; ids in the order of the gallery."""
    ids = ["a1", "x1", "a2", "b1", "x2", "b2", "x3", "a3", "x4"]
    group_of = {image_id: image_id for image_id in ids}
    for i, first in enumerate(ids):
        for second in ids[i + 1 :]:
            compared = gallery.client.post("/compare", json={"first": first, "second": second}).json()
            if compared["descriptor_distance"] <= bound:
                old, new = group_of[second], group_of[first]
                group_of = {key: new if name == old else name for key, name in group_of.items()}
    joined = [[key for key in ids if group_of[key] == name] for name in dict.fromkeys(group_of.values())]
    return [group for group in joined if len(group) > 1]


def test_a_cursor_belongs_to_its_bounds(gallery):
    wide = {"max_distance": 1000, "max_descriptor_distance": 0.0, "limit": 1}
    cursor = gallery.client.get("/duplicates", params=wide).json()["next_cursor"]

    following = gallery.client.get("/duplicates", params=wide | {"cursor": cursor})

    assert groups(following) == [["b1", "b2"]]
    other = gallery.client.get("/duplicates", params=wide | {"max_descriptor_distance": 0.1, "cursor": cursor})
    assert_problem(other, 422, "validation_failed")


def test_the_default_distance_is_narrowed_when_it_takes_too_long(own_gallery, monkeypatch):
    real = duplicates.groups_within

    def limited(view, radius, **options):
        if radius > 20:
            raise duplicates.TooManyComparisons(10, 5)
        return real(view, radius, **options)

    def refused(*_, **__):
        raise duplicates.TooManyComparisons(10, 5)

    monkeypatch.setattr(duplicates, "groups_within", limited)
    monkeypatch.setattr(duplicates, "find_candidates", refused)

    body = own_gallery.client.get("/duplicates").json()

    assert (body["max_distance"], body["max_descriptor_distance"]) == (15, 0.15)
    assert body["rule"] is None
    assert body["items"][0]["images"][0]["id"] == "a1"
    assert_problem(own_gallery.client.get("/duplicates?max_distance=38"), 422, "too_many_pictures")


def test_more_descriptors_than_memory_allows_are_refused(own_gallery, monkeypatch):
    monkeypatch.setattr(duplicates, "MAX_DESCRIPTOR_BYTES", 100)

    wide = own_gallery.client.get("/duplicates?max_distance=1000&max_descriptor_distance=0.1")

    assert "too many near pictures" in assert_problem(wide, 422, "too_many_pictures")["detail"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("max_distance=-1", 422, "validation_failed"),
        ("max_distance=far", 422, "validation_failed"),
        ("max_descriptor_distance=-0.1", 422, "validation_failed"),
        ("max_descriptor_distance=3", 422, "validation_failed"),
        ("max_descriptor_distance=nan", 422, "validation_failed"),
        ("limit=0", 422, "validation_failed"),
        ("limit=101", 422, "validation_failed"),
        ("cursor=bm90aGluZw", 422, "validation_failed"),
        ("filter={", 422, "validation_failed"),
        ('filter={"should":[]}', 422, "validation_failed"),
        ("collection=nowhere", 404, "unknown_collection"),
    ],
)
def test_a_wrong_question_is_answered_with_its_problem(gallery, query, status, code):
    assert_problem(gallery.client.get(f"/duplicates?{query}"), status, code)


def test_blank_pictures_are_copies_only_where_their_files_are(api):
    black, scan = encoded(Image.new("RGB", (80, 60)), "PNG"), encoded(Image.new("L", (60, 80), 250), "PNG")
    other_black = encoded(Image.new("RGB", (80, 60), (2, 2, 2)), "JPEG")
    ids = ["black", "scan", "other", "again", "shown", "shown2"]
    added = api.add(black, scan, other_black, black, draw(1), draw(1), ids=ids)
    assert added.status_code == 200, added.text

    assert groups(api.client.get("/duplicates?max_distance=1000")) == [["black", "again"], ["shown", "shown2"]]
    alike = api.client.post("/compare", json={"first": "black", "second": "other"}).json()
    assert (alike["likeness"], alike["shares_within"], alike["blank"]) == (None, None, [True, True])
    same = api.client.post("/compare", json={"first": "black", "second": "again"}).json()
    assert (same["likeness"], same["exact"]) == ("exact", True)
    mixed = api.client.post("/compare", json={"first": "black", "second": "shown"}).json()
    assert (mixed["likeness"], mixed["blank"]) == (None, [True, False])
    exact_only = dict.fromkeys(ids) | {"black": "exact", "again": "exact"}
    first = api.client.post("/search", json={"image_id": "black", "limit": 2}).json()
    second = api.client.post("/search", json={"cursor": first["next_cursor"]}).json()
    assert likenesses(first).items() | likenesses(second).items() <= exact_only.items()
    assert likenesses(api.search(black).json()) == exact_only
    shown = likenesses(api.search(draw(1)).json())
    assert shown == dict.fromkeys(ids) | {"shown": "exact", "shown2": "exact"}
