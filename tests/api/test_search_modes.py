"""``POST /search`` by orientations, by examples and re-ranked, against what the encoder says itself."""

import http.server
import io
import threading

import numpy as np
import pytest
from PIL import Image

from app.domain.codes import code_to_hex, hamming, pack_signs, unpack_signs
from app.encoding.artifact import load_artifact
from app.encoding.encoder import OnnxEncoder
from app.images.decode import decode_in_process
from app.images.fetch import Fetcher
from app.images.orientations import turned
from app.images.sniff import Limits
from app.index.weighted import MAX_WEIGHT
from app.services.searching import reranking
from app.services.searching.query_fetching import QueryFetcher
from app.settings import Settings
from tests.api.conftest import assert_problem, draw

N = 14


@pytest.fixture(scope="module")
def encoder():
    settings = Settings()
    return OnnxEncoder(load_artifact(settings.models.artifacts_dir / settings.models.default_model))


@pytest.fixture(scope="module")
def encoded(encoder):
    """What the encoder says of the gallery's pictures."""
    return encode(encoder, [draw(i) for i in range(N)])


def encode(encoder, contents):
    prepared = [encoder.prepare(decode_in_process(content, Limits()).pixels) for content in contents]
    return encoder.encode(np.stack(prepared))


@pytest.fixture(scope="module")
def gallery(shared_api):
    answer = shared_api.add(
        *(draw(i) for i in range(N)),
        ids=[f"p{i}" for i in range(N)],
        metadata=[{"colour": "red" if i % 2 else "blue"} for i in range(N)],
    )
    assert answer.status_code == 200, answer.text
    return shared_api


def ranked(values):
    """Ids and values in the order of an answer: by value, then by insertion."""
    return [(f"p{i}", values[i]) for i in np.argsort(values, kind="stable")]


def found(body, field="distance"):
    return [(item["id"], item[field]) for item in body["items"]]


def pages(api, first):
    """Every page behind the first, joined."""
    items, body = list(first["items"]), first
    while body["next_cursor"]:
        answer = api.client.post("/search", json={"cursor": body["next_cursor"]})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        items += body["items"]
    return items


def as_png(pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


# ---- orientations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "tried"), [(2, [1, 2]), (4, [1, 6, 3, 8]), (8, range(1, 9))])
def test_a_picture_is_as_near_as_the_nearest_orientation_of_the_query(gallery, encoder, encoded, count, tried):
    pixels = turned(np.asarray(Image.open(io.BytesIO(draw(5)))), 7)
    queries = pack_signs(encode(encoder, [as_png(turned(pixels, number)) for number in tried]).y)
    distances = np.stack([hamming(pack_signs(encoded.y), query) for query in queries])

    body = gallery.search(as_png(pixels), orientations=count, rank="hamming").json()

    assert found(body) == ranked(distances.min(axis=0))
    expected = {f"p{i}": list(tried)[distances[:, i].argmin()] for i in range(N)}
    assert dict(found(body, "orientation")) == expected


def test_a_turned_picture_is_found_by_its_orientation(gallery):
    pixels = turned(np.asarray(Image.open(io.BytesIO(draw(5)))), 6)

    first = gallery.search(as_png(pixels), orientations=8).json()["items"][0]

    # Turned by a quarter to the right; another to the left brings it back.
    assert (first["id"], first["orientation"]) == ("p5", 8)


def test_pages_of_orientations_are_the_whole_ranking(gallery):
    whole = gallery.search(draw(3), orientations=8, limit=50).json()

    paged = pages(gallery, gallery.search(draw(3), orientations=8, limit=4).json())

    assert paged == whole["items"]


def test_the_cutoff_of_orientations_counts_ties(api):
    api.add(*([draw(1)] * 5), draw(2), ids=[*(f"copy{i}" for i in range(5)), "other"])

    body = api.search(draw(1), orientations=4, limit=2, rank="hamming").json()

    assert body["cutoff"] == {"distance": 0, "returned": 2, "total": 5}


@pytest.mark.parametrize("orientations", [0, 3, "all"])
def test_other_numbers_of_orientations_are_refused(gallery, orientations):
    body = assert_problem(gallery.search(draw(3), orientations=orientations), 422, "validation_failed")

    assert body["errors"][0]["pointer"] == "/orientations"


# ---- examples -------------------------------------------------------------------------------------


def examples(api, signs, **fields):
    images = [{"image_id": image_id, "sign": sign} for image_id, sign in signs]
    return api.client.post("/search", json={"images": images, **fields})


def sums(encoded, signs):
    codes = pack_signs(encoded.y)
    total = np.zeros(N, np.int64)
    for image_id, sign in signs:
        distances = hamming(codes, codes[int(image_id[1:])])
        total += distances if sign == "+" else -distances
    return total


SIGNS = [
    [("p3", "+")],
    [("p3", "+"), ("p4", "+")],
    [("p3", "+"), ("p4", "+"), ("p9", "-")],
    [("p3", "+"), ("p9", "-"), ("p2", "-")],
]


@pytest.mark.parametrize("signs", SIGNS)
def test_examples_are_ordered_by_the_difference_of_sums(gallery, encoded, encoder, signs):
    body = examples(gallery, signs).json()

    expected = ranked(sums(encoded, signs))
    assert found(body) == expected
    unwanted = sum(sign == "-" for _, sign in signs)
    span = len(signs) * encoder.bits
    assert [item["score"] for item in body["items"]] == pytest.approx(
        [1 - (distance + unwanted * encoder.bits) / span for _, distance in expected], abs=1e-6
    )
    assert body["query"]["images"] == [{"image_id": i, "sign": s} for i, s in signs]
    assert body["cutoff"]["total"] >= 1


def test_pages_of_examples_are_the_whole_ranking(gallery):
    whole = examples(gallery, SIGNS[2], limit=50).json()["items"]

    assert pages(gallery, examples(gallery, SIGNS[2], limit=3).json()) == whole


def test_examples_may_be_left_out_of_their_answer(gallery):
    whole = found(examples(gallery, SIGNS[2]).json())
    expected = [pair for pair in whole if pair[0] not in {"p3", "p4", "p9"}]

    assert found(examples(gallery, SIGNS[2], include_self=False).json()) == expected
    paged = pages(gallery, examples(gallery, SIGNS[2], include_self=False, limit=3).json())
    assert [(item["id"], item["distance"]) for item in paged] == expected


def test_the_cutoff_leaves_excluded_examples_out(api):
    api.add(*([draw(1)] * 4), draw(2), ids=["a", "b", "c", "d", "other"])

    body = examples(api, [("a", "+"), ("b", "+")], include_self=False, limit=1).json()

    assert body["cutoff"] == {"distance": 0, "returned": 1, "total": 2}


def test_bounds_of_examples_may_be_negative(gallery, encoder):
    whole = examples(gallery, SIGNS[3]).json()["items"]
    bound = whole[3]["distance"]
    assert bound < 0

    within = examples(gallery, SIGNS[3], max_distance=bound).json()
    above = examples(gallery, SIGNS[3], min_score=whole[5]["score"] - 1e-6).json()

    assert found(within) == [(i["id"], i["distance"]) for i in whole if i["distance"] <= bound]
    assert found(above) == [(i["id"], i["distance"]) for i in whole if i["score"] >= whole[5]["score"]]


def test_examples_are_searched_under_a_filter(gallery):
    red = {"must": [{"key": "colour", "match": "red"}]}
    whole = examples(gallery, SIGNS[2]).json()["items"]

    body = examples(gallery, SIGNS[2], filter=red, limit=3).json()

    expected = [i["id"] for i in whole if i["metadata"]["colour"] == "red"]
    assert [i["id"] for i in body["items"]] == expected[:3]
    assert [i["id"] for i in pages(gallery, body)] == expected


# ---- re-ranking -----------------------------------------------------------------------------------


def test_asymmetric_orders_by_what_the_query_is_sure_of(gallery, encoded, encoder):
    y = encode(encoder, [draw(77)]).y[0].astype(np.float64)
    differs = unpack_signs(pack_signs(encoded.y), encoder.bits) != np.where(y >= 0, 1, -1)
    step = np.abs(y).max() / MAX_WEIGHT

    body = gallery.search(draw(77), rank="asymmetric").json()

    expected = ranked((differs * np.rint(np.abs(y) / step)).sum(axis=1) * step)
    assert [item for item, _ in found(body)] == [item for item, _ in expected]
    assert [item["rank_distance"] for item in body["items"]] == pytest.approx(
        [v for _, v in expected], abs=2e-6
    )
    by_hamming = dict(found(gallery.search(draw(77)).json()))
    assert dict(found(body)) == by_hamming
    assert body["cutoff"] is None


def test_asymmetric_ranks_the_whole_collection(gallery, monkeypatch):
    monkeypatch.setattr(reranking, "CANDIDATES", 3)

    first = gallery.search(draw(77), rank="asymmetric", limit=2).json()

    assert len(pages(gallery, first)) == N


@pytest.mark.parametrize("by", ["upload", "image_id"])
def test_descriptors_order_by_their_cosine(gallery, encoded, by):
    own = encoded.descriptor[3].astype(np.float64)
    others = encoded.descriptor.astype(np.float64)
    cosines = others @ own / np.linalg.norm(others, axis=1) / np.linalg.norm(own)

    if by == "upload":
        body = gallery.search(draw(3), rank="descriptor").json()
    else:
        body = gallery.client.post("/search", json={"image_id": "p3", "rank": "descriptor"}).json()

    expected = ranked(np.round(1 - cosines, 9))
    assert [item for item, _ in found(body)] == [item for item, _ in expected]
    assert [item["rank_distance"] for item in body["items"]] == pytest.approx(
        [v for _, v in expected], abs=2e-6
    )


@pytest.mark.parametrize("rank", ["asymmetric", "descriptor", "expanded"])
def test_pages_of_a_reranked_answer_are_the_whole(gallery, rank):
    whole = gallery.search(draw(77), rank=rank).json()["items"]

    assert pages(gallery, gallery.search(draw(77), rank=rank, limit=4).json()) == whole


def test_similar_may_be_ranked_by_descriptors(gallery):
    by_post = gallery.client.post(
        "/search", json={"image_id": "p3", "rank": "descriptor", "include_self": False}
    ).json()

    by_get = gallery.client.get("/images/p3/similar?rank=descriptor").json()

    assert by_get["items"] == by_post["items"]
    assert "p3" not in [item["id"] for item in by_get["items"]]


@pytest.mark.parametrize("rank", ["descriptor", "expanded"])
def test_a_model_without_descriptors_ranks_by_none(api, rank):
    api.client.post("/collections", json={"name": "small", "model": "paper-32"})
    api.add(draw(1), ids=["a"], collection="small")

    for answer in (
        api.search(draw(1), collection="small", rank=rank),
        api.client.post("/search", json={"image_id": "a", "collection": "small", "rank": rank}),
    ):
        body = assert_problem(answer, 422, "validation_failed")
        assert body["errors"][0]["pointer"] == "/rank"


def code_of(encoded, i):
    return code_to_hex(pack_signs(encoded.y)[i], encoded.y.shape[1])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"image_id": "p1", "rank": "asymmetric"}, "/rank"),
        ({"images": [{"image_id": "p1"}], "rank": "descriptor"}, "/rank"),
        ({"images": [{"image_id": "p1"}], "rank": "expanded"}, "/rank"),
        ({"image_id": "p1", "rank": "beauty"}, "/rank"),
        ({"images": []}, "/images"),
        ({"images": [{"image_id": "p1"}] * 17}, "/images"),
        ({"images": [{"image_id": "p1", "sign": "-"}]}, "/images"),
        ({"images": [{"image_id": "p1", "sign": "~"}]}, "/images/0/sign"),
        ({"images": [{"image_id": "p1"}], "image_id": "p1"}, "/"),
    ],
)
def test_what_cannot_be_ranked_is_refused(gallery, body, pointer):
    problem = assert_problem(gallery.client.post("/search", json=body), 422, "validation_failed")

    assert problem["errors"][0]["pointer"] == pointer


def test_a_code_is_ranked_by_hamming_only(gallery, encoded, encoder):
    body = {"code": code_of(encoded, 1), "model": encoder.name, "rank": "asymmetric"}

    assert_problem(gallery.client.post("/search", json=body), 422, "validation_failed")


def test_orientations_have_no_weighted_bits(gallery):
    body = assert_problem(gallery.search(draw(1), orientations=8, rank="asymmetric"), 422, "validation_failed")

    assert body["errors"][0]["pointer"] == "/rank"


def test_an_unknown_example_is_told(gallery):
    answer = examples(gallery, [("p1", "+"), ("nobody", "-")])

    assert_problem(answer, 404, "unknown_image")


# ---- by address -----------------------------------------------------------------------------------


@pytest.fixture
def host(gallery, monkeypatch):
    """A host on this machine that the service is told it may fetch from."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = {"/picture": draw(5), "/text": b"hello", "/large": b"\x89PNG" + bytes(200_000)}.get(
                self.path
            )
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    url = f"127.0.0.1:{server.server_port}"
    allowed = Fetcher([url], timeout_s=5, may_connect=lambda _: True)
    fetcher = QueryFetcher(allowed, 100_000)
    monkeypatch.setattr(gallery.client.app.state.services.search, "_fetcher", fetcher)
    yield f"http://{url}"
    allowed.close()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "fields",
    [{}, {"crop": {"x": 0, "y": 0, "width": 0.5, "height": 0.5}}, {"orientations": 4}, {"rank": "asymmetric"}],
)
def test_a_picture_at_an_address_is_searched_as_an_upload_is(gallery, host, fields):
    by_url = gallery.client.post("/search", json={"url": f"{host}/picture", **fields})
    by_upload = gallery.search(draw(5), **fields)

    assert by_url.json()["items"] == by_upload.json()["items"]
    assert by_url.json()["query"] == by_upload.json()["query"]
    assert "fetch" in by_url.json()["took_ms"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/missing", 422, "fetch_failed"),
        ("/text", 415, "not_an_image"),
        ("/large", 413, "image_too_large"),
    ],
)
def test_what_cannot_be_fetched_is_told(gallery, host, path, status, code):
    assert_problem(gallery.client.post("/search", json={"url": host + path}), status, code)


def test_other_hosts_are_not_asked(gallery, host):
    answer = gallery.client.post("/search", json={"url": "http://127.0.0.1:1/picture"})

    assert_problem(answer, 422, "url_not_allowed")


@pytest.mark.parametrize("fields", [{"crop": {"x": 0, "y": 0, "width": 1, "height": 1}}, {"orientations": 8}])
def test_a_part_of_what_is_no_picture_is_refused(gallery, fields):
    answer = gallery.client.post("/search", json={"image_id": "p1", **fields})

    assert_problem(answer, 422, "validation_failed")
