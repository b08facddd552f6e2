"""The page's flows in a real browser, at desktop and phone width."""

import base64
import itertools
import json
import re

import pytest
from playwright.sync_api import expect

from tools.sample_gallery import draw_gallery

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STORED = next(draw_gallery(per_group=1))
STRANGER = next(itertools.islice(draw_gallery(seed=5, per_group=1), 8, None))
GALLERY = 324
PAGE = 24

STRICT_POLICY = "default-src 'self'; img-src 'self' blob: data:"


def choose(page, content: bytes, name: str = "query.jpg") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": content})


def drop_or_paste(page, kind: str, content: bytes) -> None:
    page.evaluate(
        """([kind, text]) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "query.jpg", { type: "image/jpeg" }));
            const event = kind === "drop"
                ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true });
            document.body.dispatchEvent(event);
        }""",
        [kind, base64.b64encode(content).decode()],
    )


def set_distance(page, distance: int) -> None:
    page.locator("#distance").evaluate(
        """(slider, value) => {
            slider.value = value;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
            slider.dispatchEvent(new Event("change", { bubbles: true }));
        }""",
        distance,
    )


def distances(page) -> list[int]:
    return [int(text.split()[-1]) for text in page.locator(".distance").all_inner_texts()]


def open_options(page) -> None:
    """Phones fold the options away."""
    page.locator("#refine").evaluate("details => { details.open = true; }")


def expect_search(page) -> None:
    expect(page.locator("#title")).to_have_text("Look-alikes")
    expect(page.locator("#found")).to_have_attribute("aria-busy", "false")


def test_the_page_begins_with_pictures_of_the_collection(watched):
    page = watched.open()

    expect(page.locator(".card")).to_have_count(PAGE)
    expect(page.locator(".card img").first).to_have_js_property("complete", True)
    assert page.locator(".card img").first.evaluate("image => image.naturalWidth") > 0
    expect(page.locator("#collection")).to_contain_text(f"default ({GALLERY})")
    assert not watched.scrolls_sideways()
    assert (watched.said, watched.foreign) == ([], [])


def test_a_chosen_picture_is_found_as_an_exact_copy_and_look_alikes_follow(watched):
    page = watched.open()

    choose(page, STORED.jpeg)

    expect_search(page)
    expect(page.locator(".card").first.locator(".badge")).to_have_text("exact copy")
    expect(page.locator(".badge:visible")).to_have_count(1)
    found = distances(page)
    assert found[0] == 0
    assert found == sorted(found)
    expect(page.locator(".rank").nth(1)).to_have_text("2.")
    expect(page.locator("#preview")).to_be_visible()
    expect(page.locator("#asked-facts")).to_contain_text("256 × 256 pixels")
    expect(page.locator("#summary")).to_have_text(
        re.compile(rf"{GALLERY} searched by \S+ in [\d.]+ ms \(decode .*scan")
    )
    assert not watched.scrolls_sideways()
    assert (watched.said, watched.foreign) == ([], [])


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_dropped_or_pasted_picture_is_searched(watched, kind):
    page = watched.open()
    expect(page.locator(".card")).to_have_count(PAGE)

    drop_or_paste(page, kind, STRANGER.jpeg)

    expect_search(page)
    assert STRANGER.group in page.locator(".card .name").first.inner_text()
    assert (watched.said, watched.foreign) == ([], [])


def test_a_click_searches_by_that_picture_and_more_goes_on(watched):
    page = watched.open()
    expect(page.locator(".card")).to_have_count(PAGE)
    chosen = page.locator(".card").nth(3).get_attribute("data-id")

    page.locator(".card").nth(3).click()

    expect_search(page)
    expect(page.locator(".card").first).to_have_attribute("data-id", chosen)
    page.locator("#more").click()
    expect(page.locator(".card")).to_have_count(2 * PAGE)
    ids = [card.get_attribute("data-id") for card in page.locator(".card").all()]
    assert len(set(ids)) == 2 * PAGE
    assert distances(page) == sorted(distances(page))
    expect(page.locator(".card").nth(PAGE)).to_be_focused()


def test_a_look_alike_search_has_an_address_and_back_returns(watched):
    page = watched.open()
    choose(page, STRANGER.jpeg, "mine.jpg")
    expect_search(page)
    chosen = page.locator(".card").nth(2).get_attribute("data-id")

    page.locator(".card").nth(2).click()
    expect(page).to_have_url(re.compile(rf"\?like={chosen}$"))
    page.reload()
    expect_search(page)
    expect(page.locator(".card").first).to_have_attribute("data-id", chosen)
    page.locator(".card").nth(1).click()
    expect(page.locator(".card").first).not_to_have_attribute("data-id", chosen)
    page.go_back()

    expect(page.locator(".card").first).to_have_attribute("data-id", chosen)
    assert watched.said == []


def test_back_returns_to_a_file_that_was_searched(watched):
    page = watched.open()
    choose(page, STRANGER.jpeg, "mine.jpg")
    expect(page.locator("#asked-name")).to_have_text("mine.jpg")
    expect_search(page)
    before = distances(page)

    page.locator(".card").nth(1).click()
    expect(page.locator(".distance").first).to_have_text("distance 0")
    page.go_back()

    expect(page.locator("#asked-name")).to_have_text("mine.jpg")
    expect(page.locator(".distance").first).to_have_text(f"distance {before[0]}")
    page.locator("#clear").click()
    expect(page.locator("#title")).to_have_text("Pictures to start with")
    expect(page.locator("#invitation")).to_be_visible()


def test_a_filter_and_a_radius_narrow_the_answer(watched):
    page = watched.open()
    open_options(page)
    choose(page, STORED.jpeg)
    expect_search(page)

    page.fill("#filter-key", "label")
    page.fill("#filter-value", STORED.group)
    page.locator("#filter-value").press("Tab")
    expect(page.locator(".card")).to_have_count(12)
    expect(page.locator("#summary")).to_contain_text("12 searched")
    set_distance(page, 0)
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator("#distance-shown")).to_contain_text("distance 0")
    page.select_option("#filter-test", "not")

    expect(page.locator("#empty")).to_contain_text("Nothing is that close")
    set_distance(page, 256)
    expect(page.locator("#summary")).to_contain_text(f"{GALLERY - 12} searched")
    assert watched.said == []


def test_numbers_can_be_filtered_by_a_bound(watched):
    page = watched.open()
    open_options(page)
    expect(page.locator(".card")).to_have_count(PAGE)

    page.fill("#filter-key", "brightness")
    page.select_option("#filter-test", "gte")
    page.fill("#filter-value", "0.6")
    page.locator("#filter-value").press("Enter")

    expect(page.locator(".card[title*='brightness: 0.1']")).to_have_count(0)
    titles = [card.get_attribute("title") for card in page.locator(".card").all()]
    assert titles
    assert all(float(re.search(r"brightness: ([\d.]+)", title).group(1)) >= 0.6 for title in titles)


def test_large_integers_are_shown_and_asked_for_exactly(watched):
    tweet = "1234567890123456789"

    def with_a_tweet(route):
        answer = route.fetch()
        body = answer.text().replace('"metadata":{', '"metadata":{"tweet":' + tweet + ",", 1)
        route.fulfill(response=answer, body=body)

    watched.page.route("**/images?*", with_a_tweet)
    page = watched.open()
    expect(page.locator("#results button").first).to_have_attribute("title", re.compile(f"tweet: {tweet}"))

    open_options(page)
    page.fill("#filter-key", "tweet")
    with page.expect_response(lambda response: "filter=" in response.url) as asked:
        page.fill("#filter-value", tweet)
        page.locator("#filter-value").dispatch_event("change")
    assert f"%22match%22%3A{tweet}%7D" in asked.value.url


def test_what_is_no_picture_gets_a_word_and_the_page_goes_on(watched):
    page = watched.open()

    choose(page, b"plain text", "notes.jpg")

    expect(page.locator("#problem")).to_contain_text("not a picture")
    expect(page.locator("#retry")).to_be_hidden()
    expect(page.locator(".card")).to_have_count(0)
    choose(page, STORED.jpeg)
    expect_search(page)
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator(".distance").first).to_have_text("distance 0")
    assert watched.foreign == []


def test_a_service_that_does_not_answer_can_be_tried_again(watched):
    page = watched.open()
    expect(page.locator(".card")).to_have_count(PAGE)

    page.route("**/search", lambda route: route.abort())
    page.locator(".card").first.click()
    expect(page.locator("#problem")).to_contain_text("does not answer")
    page.unroute("**/search")
    page.locator("#retry").click()

    expect_search(page)
    expect(page.locator(".distance").first).to_have_text("distance 0")


def test_a_service_that_is_starting_is_asked_again_by_itself(watched):
    page = watched.page
    problem = {"title": "Service Unavailable", "status": 503, "detail": "The index is being loaded."}
    page.route(
        "**/info",
        lambda route: route.fulfill(
            status=503,
            headers={"Retry-After": "1", "Content-Type": "application/problem+json"},
            body=json.dumps(problem),
        ),
        times=1,
    )

    watched.open()

    expect(page.locator("#problem")).to_contain_text("The index is being loaded.")
    expect(page.locator(".card")).to_have_count(PAGE)
    expect(page.locator("#problem")).to_be_hidden()


def test_an_answer_that_was_overtaken_is_not_shown(watched):
    page = watched.open()
    expect(page.locator(".card")).to_have_count(PAGE)
    held = []

    def hold(route) -> None:
        held.append(route)

    page.route("**/search", hold, times=1)

    page.locator(".card").nth(1).click()
    expect(page.locator("#summary")).to_have_text("Searching…")
    page.locator(".card").nth(2).click()
    expect_search(page)
    shown = page.locator(".card").first.get_attribute("data-id")
    with page.expect_response("**/search"):
        held[0].continue_()

    expect(page.locator(".card").first).to_have_attribute("data-id", shown)


def test_the_whole_page_works_by_keyboard(watched):
    page = watched.open()
    expect(page.locator(".card")).to_have_count(PAGE)

    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".card").first).to_be_focused()
    page.keyboard.press("Enter")

    expect_search(page)
    expect(page.locator(".card").first).to_have_accessible_name(re.compile(r"exact copy, rank 1, distance 0"))


def test_every_control_has_a_name(watched):
    page = watched.open()
    open_options(page)
    expect(page.locator(".card")).to_have_count(PAGE)

    controls = page.locator("a, button, select, input:not([hidden])").locator("visible=true")

    assert controls.count() > PAGE
    for control in controls.all():
        expect(control).to_have_accessible_name(re.compile(r"\S"))


def test_the_page_needs_neither_inline_script_nor_inline_style(watched):
    page = watched.page

    def serve_strictly(route) -> None:
        answer = route.fetch()
        headers = {**answer.headers, "content-security-policy": STRICT_POLICY}
        route.fulfill(response=answer, headers=headers)

    page.route(watched.origin + "/", serve_strictly)
    watched.open()
    choose(page, STORED.jpeg)

    expect_search(page)
    assert page.locator(".fill").first.evaluate("bar => bar.clientWidth / bar.parentElement.clientWidth") == 1
    assert (watched.said, watched.foreign) == ([], [])


def test_the_documentation_renders_without_a_network(watched):
    page = watched.open("/docs")

    expect(page.locator(".opblock").first).to_be_visible()
    assert page.locator(".opblock").count() > 20
    assert (watched.said, watched.foreign) == ([], [])


def test_a_service_with_keys_asks_for_one_and_remembers_it(browser, start):
    secret = "a-key-for-the-browser-test"
    server = start("--samples", env={"LOOKALIKE_BOOTSTRAP_ADMIN_KEY": secret})
    page = browser.new_page()
    page.set_default_timeout(20_000)
    page.goto(server.url)

    expect(page.locator("#key-form")).to_be_visible()
    page.fill("#key", "not-the-key")
    page.locator("#key-form button").click()
    expect(page.locator("#key-problem")).to_contain_text(re.compile(r"\S"))
    page.fill("#key", secret)
    page.locator("#key-form button").click()

    expect(page.locator(".card")).to_have_count(PAGE)
    choose(page, STORED.jpeg)
    expect(page.locator(".card").first.locator(".badge")).to_be_visible()
    image = page.locator(".card img").first
    assert re.search(r"signature=[0-9a-f]+", image.get_attribute("src"))
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") > 0
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.locator(".card")).to_have_count(PAGE)
    page.locator("#sign-out").click()
    expect(page.locator("#key-form")).to_be_visible()
    page.close()
