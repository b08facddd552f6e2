"""Searching by words on the page."""

import httpx2
import pytest
from playwright.sync_api import expect

from tests.browser.actions import shown_ids

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_words_are_searched_and_say_what_they_were_taken_for(desktop):
    page = desktop.open()
    page.locator("#word-query input").fill("crane -dog")

    page.locator("#word-query button").click()

    expect(page.locator("#title")).to_have_text("Found by words")
    expect(page.locator("#meanings")).to_contain_text("crane (lifting device)")
    found = httpx2.post(f"{desktop.origin}/search/query", json={"text": "crane -dog", "limit": 5}).json()
    expect(page.locator("#results .card").first).to_be_visible()
    assert shown_ids(page)[:5] == [item["id"] for item in found["items"]]
    page.locator("#meanings .chip", has_text="wading bird").click()
    expect(page.locator("#meanings")).to_contain_text("crane (wading bird)")
    expect(page.locator("#word-query input")).to_have_value("crane (wading bird) -dog")
    desktop.assert_quiet()


def test_a_word_that_is_not_understood_is_said_with_others(desktop):
    page = desktop.open("/?text=sunflowr")

    expect(page.locator("[role=alert]")).to_contain_text("sunflower")
