"""No view has serious findings of axe-core, in light and dark, and each needs only what the service serves."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.actions import choose, expect_search
from tools.sample_gallery import draw_gallery

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STRICT_POLICY = "default-src 'self'; img-src 'self' blob: data:"
STORED = next(draw_gallery(per_group=1))


def assert_accessible(page) -> None:
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in {"serious", "critical"}]
    assert serious == [], [(one["id"], one["nodes"][0]["html"][:200]) for one in serious]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_accessible(desktop, scheme):
    page = desktop.page
    page.emulate_media(color_scheme=scheme)
    for address, ready in {
        "/": ".card",
        "/?like=sunset-01": "#results .card",
        "/?view=collection": ".card",
        "/?view=duplicates": ".group",
        "/?view=jobs": "#title",
        "/?view=models": ".model",
        "/?view=system": "#rooms",
    }.items():
        desktop.open(address)
        expect(page.locator(ready).first).to_be_visible()
        assert_accessible(page)
    desktop.assert_quiet()


def test_dialogs_are_accessible_on_a_phone(desktop):
    page = desktop.page
    page.set_viewport_size({"width": 390, "height": 844})
    desktop.open()
    choose(page, STORED.jpeg)
    expect_search(page)
    for opening in (
        "#crop",
        "#use-code",
        ".cell .tool[aria-label^=Details]",
        ".cell .tool[aria-label^=Compare]",
    ):
        if opening.startswith(".cell"):
            page.locator(".cell").first.hover()
        page.locator(opening).first.click()
        expect(page.locator("dialog[open] h2").first).to_be_visible()
        if "Details" in opening:
            expect(page.locator("#metadata")).to_be_visible()
        if "Compare" in opening:
            expect(page.locator("#bits")).to_be_visible()
        assert_accessible(page)
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
    desktop.assert_quiet()


def test_the_page_needs_neither_inline_script_nor_inline_style(desktop):
    page = desktop.page

    def serve_strictly(route) -> None:
        answer = route.fetch()
        headers = {**answer.headers, "content-security-policy": STRICT_POLICY}
        route.fulfill(response=answer, headers=headers)

    page.route(desktop.origin + "/", serve_strictly)
    desktop.open()
    choose(page, STORED.jpeg)

    expect_search(page)
    page.click("#crop")
    expect(page.locator("#crop-frame img")).to_have_js_property("complete", True)
    expect(page.locator("#crop-part")).to_be_focused()
    width, outer = page.evaluate(
        "['crop-part', 'crop-frame'].map((id) => document.getElementById(id).getBoundingClientRect().width)"
    )
    assert width / outer == pytest.approx(0.5, abs=0.02)
    desktop.assert_quiet()


def test_the_documentation_renders_without_a_network(desktop):
    page = desktop.open("/docs")

    expect(page.locator(".opblock").first).to_be_visible()
    assert page.locator(".opblock").count() > 20
    assert (desktop.said, desktop.foreign) == ([], [])
