"""The page's flows in a real browser, at desktop and phone width."""

import base64
import itertools
import re

import pytest
from playwright.sync_api import expect

from app.gallery.gallery import draw_gallery

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SAMPLE = next(iter(draw_gallery(per_group=1)))
OTHER = next(itertools.islice(draw_gallery(seed=5, per_group=1), 8, None))


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


def distances(page) -> list[int]:
    return [int(text.split()[-1]) for text in page.locator(".distance").all_inner_texts()]


def test_the_page_begins_with_pictures_of_the_collection(watched):
    page = watched.open()

    expect(page.locator(".card")).to_have_count(24)
    expect(page.locator(".card img").first).to_have_js_property("complete", True)
    assert page.locator(".card img").first.evaluate("image => image.naturalWidth") > 0
    expect(page.locator("#collection")).to_contain_text("default (312)")
    assert not watched.scrolls_sideways()
    assert (watched.said, watched.foreign) == ([], [])


def test_a_chosen_picture_is_found_as_an_exact_copy_and_look_alikes_follow(watched):
    page = watched.open()

    choose(page, SAMPLE.jpeg)

    expect(page.locator("#title")).to_have_text("Look-alikes")
    expect(page.locator(".card").first.locator(".badge")).to_have_text("exact copy")
    found = distances(page)
    assert found[0] == 0
    assert found == sorted(found)
    expect(page.locator("#preview")).to_be_visible()
    expect(page.locator("#summary")).to_contain_text("312 pictures searched")
    assert not watched.scrolls_sideways()
    assert (watched.said, watched.foreign) == ([], [])


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_dropped_or_pasted_picture_is_searched(watched, kind):
    page = watched.open()
    expect(page.locator(".card")).to_have_count(24)

    drop_or_paste(page, kind, OTHER.jpeg)

    expect(page.locator("#title")).to_have_text("Look-alikes")
    names = page.locator(".card .name").all_inner_texts()
    assert OTHER.group in names[0]


def test_a_click_searches_by_that_picture_and_more_goes_on(watched):
    page = watched.open()
    expect(page.locator(".card")).to_have_count(24)
    chosen = page.locator(".card").nth(3).get_attribute("data-id")

    page.locator(".card").nth(3).click()

    expect(page.locator(".card").first).to_have_attribute("data-id", chosen)
    expect(page.locator(".distance").first).to_have_text("distance 0")
    page.locator("#more").click()
    expect(page.locator(".card")).to_have_count(48)
    ids = [card.get_attribute("data-id") for card in page.locator(".card").all()]
    assert len(set(ids)) == 48
    assert distances(page) == sorted(distances(page))


def test_a_filter_and_a_radius_narrow_the_answer(watched):
    page = watched.open()
    choose(page, SAMPLE.jpeg)
    expect(page.locator(".distance").first).to_have_text("distance 0")

    page.fill("#filter-key", "label")
    page.fill("#filter-value", SAMPLE.group)
    page.locator("#filter-value").press("Tab")
    expect(page.locator(".card")).to_have_count(12)
    page.locator("#distance").evaluate(
        "slider => { slider.value = 0; slider.dispatchEvent(new Event('input')); "
        "slider.dispatchEvent(new Event('change', { bubbles: true })); }"
    )

    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator("#distance-shown")).to_have_text("distance 0")


def test_what_is_no_picture_gets_a_word_and_the_page_goes_on(watched):
    page = watched.open()

    choose(page, b"plain text", "notes.jpg")

    expect(page.locator("#problem")).to_contain_text("not a picture")
    choose(page, SAMPLE.jpeg)
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator(".distance").first).to_have_text("distance 0")
    assert watched.foreign == []


def test_the_documentation_renders_without_a_network(watched):
    page = watched.open("/docs")

    expect(page.locator(".opblock").first).to_be_visible()
    assert page.locator(".opblock").count() > 20
    assert (watched.said, watched.foreign) == ([], [])


def test_a_service_with_keys_asks_for_one_and_remembers_it(browser, start, tmp_path):
    secret = "a-key-for-the-browser-test"
    server = start("--samples", env={"LOOKALIKE_BOOTSTRAP_ADMIN_KEY": secret})
    page = browser.new_page()
    page.set_default_timeout(20_000)
    page.goto(server.url)

    expect(page.locator("#key-form")).to_be_visible()
    page.fill("#key", secret)
    page.locator("#key-form button").click()

    expect(page.locator(".card")).to_have_count(24)
    choose(page, SAMPLE.jpeg)
    expect(page.locator(".card .badge")).to_have_text("exact copy")
    source = page.locator(".card img").first.get_attribute("src")
    assert re.search(r"signature=[0-9a-f]+", source)
    assert page.locator(".card img").first.evaluate("image => image.complete && image.naturalWidth > 0")
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.locator(".card")).to_have_count(24)
    page.close()
