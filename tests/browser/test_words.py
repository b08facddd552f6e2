"""Searching by words on the page."""

import httpx2
import pytest
from playwright.sync_api import expect

from tests.browser.actions import shown_ids

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_words_are_searched_and_say_what_they_were_taken_for(desktop):
    page = desktop.open()
    page.locator("#word-query input").fill("Crane -dog")

    page.locator("#word-query input").press("Enter")

    expect(page.locator("#title")).to_have_text("Found by words")
    expect(page.locator("#meanings")).to_contain_text("crane (lifting device)")
    found = httpx2.post(f"{desktop.origin}/search/query", json={"text": "Crane -dog", "limit": 5}).json()
    expect(page.locator("#results .card").first).to_be_visible()
    assert shown_ids(page)[:5] == [item["id"] for item in found["items"]]
    expect(page.locator("#meanings")).to_contain_text("without dog (canine)")
    page.locator("#meanings .chip", has_text="wading bird").click()
    expect(page.locator("#meanings")).to_contain_text("crane (wading bird)")
    expect(page.locator("#word-query input")).to_have_value("crane (wading bird), -dog")
    page.go_back()
    expect(page.locator("#word-query input")).to_have_value("Crane -dog")
    expect(page.locator("#meanings")).to_contain_text("crane (lifting device)")
    desktop.assert_quiet()


def test_words_without_influence_are_named(watched):
    page = watched.open("/?text=red car")

    expect(page.locator("#meanings")).to_contain_text("“red” is ignored")
    watched.assert_quiet()


def test_a_word_that_is_not_understood_is_said_with_others(desktop):
    page = desktop.open("/?text=sunflowr")

    expect(page.locator("[role=alert]")).to_contain_text("sunflower")
    # The words stay, to be mended.
    expect(page.locator("#word-query input")).to_have_value("sunflowr")
    expect(page.locator("input[name=rank]")).to_have_count(0)
    page.locator("#word-query input").fill("sunflower")
    page.locator("#word-query input").press("Enter")
    expect(page.locator("#results .card").first).to_be_visible()
    expect(page.locator("[role=alert]")).to_have_count(0)
