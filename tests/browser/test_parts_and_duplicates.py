"""Choosing a part of a picture, looking for turned ones, and the view of duplicates."""

import io
import itertools
import json

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.test_page import choose, expect_search, open_options, set_distance
from tools.sample_gallery import draw_gallery

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STORED = next(draw_gallery(per_group=1))
STRANGER = next(itertools.islice(draw_gallery(seed=5, per_group=1), 8, None))


def drag_over(page, left: float, top: float, right: float, bottom: float) -> None:
    """Over the preview, in fractions of it."""
    box = page.locator("#preview").bounding_box()
    page.mouse.move(box["x"] + box["width"] * left, box["y"] + box["height"] * top)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * right, box["y"] + box["height"] * bottom, steps=4)
    page.mouse.up()


def part_distances(url: str) -> list[str]:
    """What the service says of the part that ``drag_over`` chose, asked without a browser."""
    crop = {"x": 0.25, "y": 0.3, "width": 0.5, "height": 0.6}
    form = {"crop": json.dumps(crop), "limit": "24"}
    answer = httpx2.post(f"{url}/search", files={"file": STRANGER.jpeg}, data=form, timeout=60)
    return [f"distance {item['distance']}" for item in answer.json()["items"]]


def test_a_part_is_chosen_by_dragging_and_given_up_again(watched):
    page = watched.open()
    choose(page, STRANGER.jpeg)
    expect_search(page)
    whole = page.locator(".card").first.get_attribute("data-id")
    facts = page.locator(".distance").all_inner_texts()
    # Until it is there, the button below it moves.
    expect(page.locator("#preview")).to_have_js_property("complete", True)

    page.click("#crop")
    expect(page.locator("#asked-facts")).to_have_text("Drag over the part to look for.")
    with page.expect_response("**/search"):
        drag_over(page, 0.25, 0.3, 0.75, 0.9)
    expect_search(page)

    expect(page.locator("#selection")).to_be_visible()
    assert page.locator(".distance").all_inner_texts() == part_distances(watched.origin)
    assert page.locator(".distance").all_inner_texts() != facts
    assert not watched.scrolls_sideways()

    page.click("#crop")
    expect(page.locator("#selection")).to_be_hidden()
    expect(page.locator(".distance")).to_have_text(facts)
    assert page.locator(".card").first.get_attribute("data-id") == whole

    page.go_back()
    expect(page.locator("#selection")).to_be_visible()
    page.go_back()
    expect(page.locator(".distance")).to_have_text(facts)
    assert (watched.said, watched.foreign) == ([], [])


def test_a_slip_of_the_hand_chooses_nothing(watched):
    page = watched.open()
    choose(page, STRANGER.jpeg)
    expect_search(page)
    page.click("#crop")

    drag_over(page, 0.5, 0.5, 0.51, 0.51)

    expect(page.locator("#selection")).to_be_hidden()
    expect(page.locator("#crop")).to_have_text("Choose a part")


def test_turned_pictures_are_found_when_asked_for(watched):
    page = watched.open()
    turned = io.BytesIO()
    Image.open(io.BytesIO(STORED.jpeg)).transpose(Image.Transpose.ROTATE_90).save(turned, "PNG")
    choose(page, turned.getvalue())
    expect_search(page)
    open_options(page)

    with page.expect_response("**/search"):
        page.check("#turned")
    expect_search(page)

    expect(page.locator(".card .name").first).to_contain_text(STORED.name)
    assert (watched.said, watched.foreign) == ([], [])


def test_duplicates_are_shown_in_groups(watched):
    page = watched.open()
    expect(page.locator("#turned-choice")).to_be_hidden()

    page.click("#duplicates")

    expect(page.locator("#title")).to_have_text("Duplicates")
    expect(page.locator(".group").first).to_be_visible()
    expected = page.evaluate("fetch('/duplicates').then((answer) => answer.json())")
    expect(page.locator(".group")).to_have_count(len(expected["items"]))
    for i, group in enumerate(expected["items"]):
        ids = (
            page.locator(".group").nth(i).locator(".card").evaluate_all("cards => cards.map(c => c.dataset.id)")
        )
        assert ids == [image["id"] for image in group["images"]]
    assert not watched.scrolls_sideways()

    open_options(page)
    set_distance(page, 0)
    expect(page.locator("#empty")).to_contain_text("No two pictures are that near")

    page.reload()
    expect(page.locator(".group")).to_have_count(len(expected["items"]))
    chosen = page.locator(".group .card").nth(1).get_attribute("data-id")
    page.locator(".group .card").nth(1).click()
    expect_search(page)
    expect(page.locator(".card").first).to_have_attribute("data-id", chosen)
    page.go_back()
    expect(page.locator("#title")).to_have_text("Duplicates")
    assert (watched.said, watched.foreign) == ([], [])


def test_the_slider_says_what_a_distance_means(watched):
    page = watched.open()
    expect(page.locator(".card").first).to_be_visible()
    open_options(page)

    set_distance(page, 5)
    expect(page.locator("#distance-shown")).to_have_text("distance 5 of 256 · copy")
    set_distance(page, 60)
    expect(page.locator("#distance-shown")).to_have_text("distance 60 of 256 · similar")
