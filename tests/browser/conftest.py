"""A real chromium on a real server."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.fixtures.server import start_server
from tools.sample_gallery import draw_gallery

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first that is installed is used; the headless shell takes half the processor time of the others."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

DESKTOP = (1280, 860)
PHONE = (390, 844)
TIMEOUT_MS = 20_000
"""A first search may wait for kernels to be compiled."""


@pytest.fixture(scope="module")
def browser():
    """For one module: while it is open, playwright's own event loop runs, and no test could run another."""
    chromium = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert chromium, "install chromium and put it on PATH: `make system-packages` does on Debian"
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        started.close()


class Watched:
    """A page, and everything that it said and asked for."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.said: list[str] = []
        self.foreign: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", self._note)

    def _hear(self, message) -> None:
        # On a busy machine chromium may give up a connection to a proxy; tests check what the page then shows.
        if "net::ERR_TOO_MANY_RETRIES" not in message.text:
            self.said.append(message.text)

    def _note(self, request) -> None:
        if not request.url.startswith((self.origin, "blob:", "data:")):
            self.foreign.append(request.url)

    def open(self, path: str = "/") -> Page:
        self.page.goto(self.origin + path)
        return self.page

    def assert_quiet(self) -> None:
        """It said nothing on the console, asked nobody else, and fits the window."""
        assert (self.said, self.foreign) == ([], [])
        assert not self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def _open(browser: Browser, origin: str, size: tuple[int, int], **options) -> Iterator[Watched]:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, accept_downloads=True, **options)
    page.set_default_timeout(TIMEOUT_MS)
    yield Watched(page, origin)
    # A handler may still be waiting for the service; its error would be raised in the next test.
    page.unroute_all(behavior="ignoreErrors")
    page.close()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def watched(request, browser: Browser, live_server_url: str):
    """The page at both widths, on the sample gallery; for tests that only look."""
    yield from _open(browser, live_server_url, request.param)


@pytest.fixture
def desktop(browser: Browser, live_server_url: str):
    """The page at desktop width, on the sample gallery; for tests that only look."""
    yield from _open(browser, live_server_url, DESKTOP)


@pytest.fixture(scope="module")
def writable_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a worker and without pictures, for the tests of one module that write."""
    server = start_server(tmp_path_factory.mktemp("writable"), "--worker")
    yield server.url
    server.stop()
    server.process.stdout.close()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def both(request, browser: Browser, writable_url: str):
    """The page at both widths, on a server that may be written to."""
    yield from _open(browser, writable_url, request.param)


@pytest.fixture
def writing(browser: Browser, writable_url: str):
    """The page at desktop width, on a server that may be written to."""
    yield from _open(browser, writable_url, DESKTOP)


@pytest.fixture(scope="session")
def drawn() -> list:
    """One picture of each kind of the drawn gallery, none of which is among the samples."""
    return list(draw_gallery(seed=9, per_group=1))
