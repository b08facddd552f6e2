"""docs/examples/search.html, served from another origin, in a real chromium."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.samples import samples
from lookalike_client import Client
from tests.browser.conftest import TIMEOUT_MS
from tests.fixtures.server import start_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "search.html"
ADMIN_KEY = "an admin key for this test"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """A static web server: its origin and its folder."""
    folder = tmp_path_factory.mktemp("site")
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def page_url(site, tmp_path_factory) -> Iterator[str]:
    """The example with the address of a service that allows its origin, and a public key of that service."""
    origin, folder = site
    env = {"LOOKALIKE_CORS_ORIGINS": origin, "LOOKALIKE_BOOTSTRAP_ADMIN_KEY": ADMIN_KEY}
    server = start_server(tmp_path_factory.mktemp("service"), "--samples", env=env)
    try:
        with Client(server.url, key=ADMIN_KEY) as admin:
            public = admin.create_key("example page", "search", collections=["default"])
        text = EXAMPLE.read_text(encoding="utf-8")
        for placeholder, value in {"https://pictures.example": server.url, "lk_…": public.secret}.items():
            assert text.count(f'"{placeholder}"') == 1
            text = text.replace(f'"{placeholder}"', f'"{value}"')
        (folder / "search.html").write_text(text, encoding="utf-8")
        yield f"{origin}/search.html"
    finally:
        server.stop()
        server.process.stdout.close()


def test_the_example_searches_shows_thumbnails_pages_and_explains_an_error(browser, page_url):
    page = browser.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(page_url)
    sample = next(samples())

    page.get_by_label("Picture").set_input_files(
        {"name": "query.jpg", "mimeType": "image/jpeg", "buffer": sample.read()}
    )
    results = page.locator("#results li")
    expect(results).to_have_count(12)
    expect(results.first).to_have_text(f"{sample.image_id} · 100 %")
    page.get_by_role("button", name="More").click()
    expect(results).to_have_count(24)
    # Each thumbnail has arrived: a refused one has no pixels.
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    assert said == []

    page.route("**/search/query*", lambda route: route.abort())
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("alert")).to_have_text("The service cannot be reached.")
    page.unroute("**/search/query*")
    page.get_by_role("button", name="More").click()
    expect(results).to_have_count(36)
    said.clear()

    page.get_by_label("Picture").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    )
    expect(page.get_by_role("alert")).to_have_text("This file is not a picture.")
    expect(results).to_have_count(0)
    # The browser's own note of the answer; the page adds nothing.
    assert [text for text in said if "status of 415" not in text] == []
    page.close()
