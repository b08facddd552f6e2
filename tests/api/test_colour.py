"""The weight of colours in searches."""

import io

import pytest
from PIL import Image

from app.domain.colours import COLOUR_MODEL
from tests.api.conftest import assert_problem
from tests.unit.encoding.test_colours import GREEN, OTHER_RED, RED, bus

BLUE, YELLOW = (30, 60, 170), (230, 200, 40)


def png(pixels) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def shifted(colour, by: int):
    """The same bus elsewhere, so that the pictures differ by more than their colour."""
    return bus(colour, size=(240 - 8 * by, 160 + 6 * by))


BUSES = {"red": RED, "green": GREEN, "blue": BLUE, "yellow": YELLOW, "dark-red": OTHER_RED}


def add_street(api):
    contents = [png(shifted(colour, i)) for i, colour in enumerate(BUSES.values())]
    answer = api.add(*contents, ids=list(BUSES))
    assert answer.status_code == 200, answer.text
    return api


@pytest.fixture(scope="module")
def street(shared_api):
    """Buses; the second red one is the least alike in everything but its colour."""
    return add_street(shared_api)


def ask(api, **body):
    answer = api.client.post("/search/query", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(body):
    return [item["id"] for item in body["items"]]


@pytest.mark.parametrize("rank", ["auto", "descriptor", "hamming"])
def test_colours_bring_the_other_red_bus_forward(street, rank):
    usual = ask(street, image_id="red", include_self=False, rank=rank)
    body = ask(street, image_id="red", include_self=False, rank=rank, colour=1)

    assert set(ids(body)) == set(ids(usual)) == set(BUSES) - {"red"}
    assert ids(body)[0] == "dark-red"
    assert all(item["colour_distance"] is None for item in usual["items"])
    distances = [item["colour_distance"] for item in body["items"]]
    assert 0 < distances[0] < 0.5 * distances[1]
    assert distances == sorted(distances)
    assert body["ranked_by"] == usual["ranked_by"]


def test_a_weight_mixes_both_distances(street):
    plain = ask(street, image_id="red", include_self=False, rank="descriptor")
    body = ask(street, image_id="red", include_self=False, rank="descriptor", colour=0.25)

    by_descriptor = {item["id"]: item["rank_distance"] for item in plain["items"]}
    for item in body["items"]:
        mixed = 0.75 * by_descriptor[item["id"]] + 0.25 * item["colour_distance"]
        assert item["rank_distance"] == pytest.approx(mixed, abs=2e-6)


def test_uploads_stored_pictures_and_batches_agree(street):
    content = png(shifted(RED, 0))
    stored = ask(street, image_id="red", colour=0.5)

    uploaded = street.search(content, colour=0.5, regions="none")
    similar = street.client.get("/images/red/similar", params={"colour": 0.5})
    batch = street.client.post("/search/batch", json={"queries": [{"image_id": "red"}], "colour": 0.5})
    turned = street.search(content, colour=0.5, orientations=2)
    windows = street.search(content, colour=0.5, regions="auto", rank="hamming")

    assert uploaded.json()["items"] == stored["items"] == batch.json()["items"][0]["items"]
    assert [item["id"] for item in similar.json()["items"]] == ids(stored)[1:]
    assert ids(stored)[0] == turned.json()["items"][0]["id"] == windows.json()["items"][0]["id"] == "red"
    assert all(item["colour_distance"] is not None for item in turned.json()["items"])


def test_pages_continue_in_the_order_of_the_first(street):
    whole = ask(street, image_id="red", colour=0.6)
    body = ask(street, image_id="red", colour=0.6, limit=2)
    items = list(body["items"])
    while body["next_cursor"]:
        body = ask(street, cursor=body["next_cursor"])
        items += body["items"]

    assert items == whole["items"]


def test_colours_and_variety_go_together(street):
    body = ask(street, image_id="red", colour=0.5, diversify=0.3)
    assert set(ids(body)) == set(BUSES)


@pytest.mark.parametrize(
    "query",
    [{"text": "dog"}, {"images": [{"image_id": "red"}]}, {"code": "00" * 32, "model": "lite2-256"}],
)
def test_queries_without_a_picture_have_no_colours(street, query):
    answer = street.client.post("/search/query", json=query | {"colour": 0.5})

    body = assert_problem(answer, 422, "validation_failed")
    assert body["errors"][0]["pointer"] == "/colour"
    assert "picture" in body["errors"][0]["detail"]


def test_a_batch_answers_the_queries_that_have_colours(street):
    queries = [{"text": "dog"}, {"image_id": "red"}, {"code": "00" * 32, "model": "lite2-256"}]
    items = street.client.post("/search/batch", json={"queries": queries, "colour": 0.5}).json()["items"]

    assert [item["error"] and item["error"]["code"] for item in items] == [
        "validation_failed",
        None,
        "validation_failed",
    ]


@pytest.mark.parametrize("colour", [-0.1, 1.5])
def test_a_weight_is_between_0_and_1(street, colour):
    assert_problem(street.search(png(bus(RED)), colour=colour), 422, "validation_failed")
    answer = street.client.post("/search/query", json={"image_id": "red", "colour": colour})
    assert_problem(answer, 422, "validation_failed")


def test_weighted_bits_have_no_colours(street):
    answer = street.search(png(bus(RED)), colour=0.5, rank="asymmetric")
    assert assert_problem(answer, 422, "validation_failed")["errors"][0]["pointer"] == "/colour"


def test_a_picture_whose_colours_are_not_known_yet_is_last_and_no_query(api):
    street = add_street(api)
    services = street.client.app.state.services

    async def forget() -> None:
        async with services.database.write() as unit:
            [record] = await unit.collections.list_all()
            found = await unit.images.get(record.pk, "dark-red")
            await unit.coverage.delete_codes(record.pk, COLOUR_MODEL, [found.number])

    street.client.portal.call(forget)

    body = ask(street, image_id="red", colour=1)
    refused = street.client.post("/search/query", json={"image_id": "dark-red", "colour": 0.5})

    assert (ids(body)[-1], body["items"][-1]["colour_distance"]) == ("dark-red", None)
    problem = assert_problem(refused, 422, "validation_failed")
    assert "has no colour signature yet" in problem["errors"][0]["detail"]


def test_copies_in_the_same_colours_keep_their_place_and_recoloured_ones_do_not(street):
    poor = io.BytesIO()
    Image.fromarray(shifted(RED, 0)).save(poor, "JPEG", quality=20)

    items = street.search(poor.getvalue(), colour=0.25, regions="none").json()["items"]

    assert items[0]["id"] == "red"
    assert items[0]["rank_distance"] < -0.75
    assert all(item["rank_distance"] >= 0 for item in items if item["colour_distance"] > 0.1)
