"""Take the pictures of the page that the documentation shows, from a real server and a real chromium.

Run it in a checkout: ``python -m tools.make_screenshots``. It starts a server with the sample gallery in a
temporary folder and writes ``docs/images/*.webp``.
"""

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.fixtures.server import start_server
from tools.sample_gallery import draw_gallery

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
DESKTOP = (1280, 800)
PHONE = (390, 844)
QUALITY = 78


def upload(page: Page) -> None:
    """Search by a picture that is not in the gallery."""
    picture = next(picture for picture in draw_gallery(seed=5, per_group=1) if picture.group == "hills")
    page.set_input_files("#file", {"name": "mine.jpg", "mimeType": "image/jpeg", "buffer": picture.jpeg})
    page.locator("#results .word").first.wait_for()
    page.locator(".histogram rect").first.wait_for(state="attached")


def compare(page: Page) -> None:
    """Compare the query with its first result."""
    page.locator("#results .cell").first.hover()
    page.locator(".tool[aria-label^=Compare]").first.click()
    page.locator("#bits").wait_for()


def nothing(_page: Page) -> None:
    """Show the view as it opens."""


SHOTS: list[tuple[str, str, str, tuple[int, int], str, Callable[[Page], None]]] = [
    ("page", "/", ".card", DESKTOP, "light", upload),
    ("page-dark", "/", ".card", DESKTOP, "dark", upload),
    ("page-phone", "/?like=sunset-01", "#results .word", PHONE, "light", nothing),
    ("compare", "/?like=sunset-01", "#results .word", DESKTOP, "light", compare),
    ("duplicates", "/?view=duplicates", ".group", DESKTOP, "light", nothing),
    ("system", "/?view=system", "#rooms", DESKTOP, "light", nothing),
]


def take(url: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the PNG of each picture."""
    chromium = (
        shutil.which("chromium") or shutil.which("chromium-headless-shell") or shutil.which("google-chrome")
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--hide-scrollbars"]
        )
        for name, address, ready, (width, height), scheme, act in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(url + address)
            page.locator(ready).first.wait_for()
            act(page)
            page.mouse.move(width - 1, height - 1)
            page.wait_for_load_state("networkidle")
            yield name, page.screenshot()
            page.close()
        browser.close()


def main() -> None:
    """Write every picture, and say how large they are together."""
    with tempfile.TemporaryDirectory() as folder:
        server = start_server(Path(folder), "--samples", "--worker")
        try:
            total = 0
            for name, png in take(server.url):
                path = IMAGES / f"{name}.webp"
                Image.open(io.BytesIO(png)).convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
                total += path.stat().st_size
                print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
            print(f"{total / 1000:.0f} kB in all")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
