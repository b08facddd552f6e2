"""What tests do on the page."""

import base64
import re
import time
from collections.abc import Iterable

import httpx2
from playwright.sync_api import Page, expect

PAGE = 24
"""Pictures of one page of results."""


def picture_file(content: bytes, name: str = "query.jpg") -> dict:
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


def choose(page: Page, content: bytes, name: str = "query.jpg") -> None:
    page.set_input_files("#file", picture_file(content, name))


def drop_or_paste(page: Page, kind: str, content: bytes, name: str = "query.jpg") -> None:
    page.evaluate(
        """([kind, text, name]) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            const event = kind === "drop"
                ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true });
            document.body.dispatchEvent(event);
        }""",
        [kind, base64.b64encode(content).decode(), name],
    )


def set_distance(page: Page, distance: int) -> None:
    page.locator("#distance").evaluate(
        """(slider, value) => {
            slider.value = value;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
            slider.dispatchEvent(new Event("change", { bubbles: true }));
        }""",
        distance,
    )


def add_filter(page: Page, key: str, value: str, test: str = "is") -> None:
    page.fill("#filter-key", key)
    page.select_option("#filter-test", test)
    page.fill("#filter-value", value)
    page.locator("#filter-value").press("Enter")


def refine(page: Page) -> None:
    """Phones fold the choices away."""
    page.locator("#refine").evaluate("details => { details.open = true; }")


def expect_search(page: Page) -> None:
    expect_answer(page)
    expect(page.locator("#title")).to_have_text("Look-alikes")
    expect(page.locator("#summary")).to_have_text(re.compile(r"searched in [\d.]+ ms"))
    expect_answer(page)


def expect_answer(page: Page) -> None:
    """What is shown answers what the address asks."""
    page.wait_for_function(
        """() => {
            const answer = document.getElementById("answer");
            return answer?.dataset.shows === location.search && answer.getAttribute("aria-busy") === "false";
        }"""
    )


def shown_ids(page: Page) -> list[str]:
    return page.locator("#results .card").evaluate_all("cards => cards.map((card) => card.dataset.id)")


def distances(page: Page) -> list[int]:
    notes = page.locator("#results .note").all_inner_texts()
    return [int(re.match(r"(\d+) bits? apart", note).group(1)) for note in notes]


def wait_until_deleted(url: str, ids: Iterable[str]) -> None:
    """Wait until pictures are gone that a page deleted while it was left.

    The browser sends such requests on its own time: a page that is opened at once may be answered first.

    Raises:
        AssertionError: One is still there after twenty seconds.
    """
    deadline = time.monotonic() + 20
    for image_id in ids:
        while httpx2.get(f"{url}/images/{image_id}").status_code != 404:
            assert time.monotonic() < deadline, f"{image_id} was not deleted"
            time.sleep(0.05)
