"""The page with a collection whose index is on ClickHouse: it offers and asks only for what that can do."""

import re
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, _open
from tests.fixtures.server import start_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("remote")
    server = start_server(folder / "data", env={"LOOKALIKE_CLICKHOUSE_URL": f"chdb://{folder}/engine"})
    yield server.url
    server.stop()
    server.process.stdout.close()


@pytest.fixture
def watched(browser, origin: str):
    yield from _open(browser, origin, DESKTOP)


def test_a_collection_on_clickhouse_is_made_and_searched(watched, drawn):
    page = watched.open("/?view=collection")
    page.click("#manage")
    form = page.locator("#new-collection")
    form.get_by_label("Name").fill("far")
    form.get_by_label("Index").select_option("clickhouse")
    form.get_by_role("button", name="Create").click()
    expect(page.locator("#title")).to_have_text("far")
    made = httpx2.get(f"{watched.origin}/collections/far").json()
    assert made["index"] == "clickhouse"
    files = [("files", (picture.name, picture.jpeg)) for picture in drawn[:4]]
    added = httpx2.post(f"{watched.origin}/index", files=files, data={"collection": "far"}, timeout=60)
    ids = [item["id"] for item in added.json()["items"]]
    # Words of metadata are not looked for: a request for them would be refused.
    requests = []
    page.on("request", lambda request: requests.append(request))  # noqa: PLW0108 - it marks the handler
    page.goto(f"{watched.origin}/?collection=far&text=circle")
    expect(page.locator("#results .card")).to_have_count(4)
    [search] = [request for request in requests if request.url.endswith("/search")]
    assert "both" not in (search.post_data or "")
    page.goto(f"{watched.origin}/?collection=far&like={ids[0]}")
    expect(page.locator("#results .card").first).to_be_visible()
    page.goto(f"{watched.origin}/?view=duplicates&collection=far")
    expect(page.locator("#remote")).to_contain_text("ClickHouse")
    page.goto(f"{watched.origin}/?view=duplicates")
    expect(page.locator("#radius")).to_be_visible()
    expect(page).to_have_url(re.compile("duplicates"))
    watched.assert_quiet()
