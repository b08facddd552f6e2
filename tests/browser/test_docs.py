"""The documentation page in a real chromium: each search finds pictures at its first "Execute"."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page

from app.samples import samples

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def execute(page: Page, operation: str, prepare: Callable[[Locator], None] | None = None) -> dict:
    """Open an operation, whose fields can be filled in at once, press "Execute" and return the answer."""
    block = page.locator(f'[id$="-{operation}"]')
    block.locator(".opblock-summary-control").click()
    if prepare is not None:
        prepare(block)
    with page.expect_response(lambda answer: answer.request.resource_type == "fetch") as answer:
        block.locator(".execute").click()
    assert answer.value.status == 200, answer.value.text()
    return json.loads(answer.value.text())


@pytest.mark.parametrize("operation", ["searchByQuery", "searchByStoredPicture", "listPictures"])
def test_the_first_execute_finds_pictures(desktop, operation):
    page = desktop.open("/docs")

    assert execute(page, operation)["items"]


def test_the_first_execute_of_an_upload_finds_pictures(desktop):
    page = desktop.open("/docs")
    picture = next(samples()).read()

    def choose(block) -> None:
        block.locator('input[type="file"]').set_input_files(
            {"name": "query.jpg", "mimeType": "image/jpeg", "buffer": picture}
        )

    assert len(execute(page, "searchByUpload", choose)["items"]) > 5


def test_the_first_execute_of_a_comparison_finds_both_pictures(desktop):
    page = desktop.open("/docs")

    assert execute(page, "compareStored")["distance"] > 0
