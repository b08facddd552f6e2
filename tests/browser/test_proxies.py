"""The service behind the proxies of docs/examples, the real ones: nginx keeps the prefix, Caddy removes it."""

import json
import os
import ssl
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import expect

from tests.api.conftest import draw
from tests.browser.actions import choose, expect_search, shown_ids
from tests.browser.conftest import DESKTOP, Watched
from tests.browser.test_docs import execute
from tests.fixtures.archives import zip_of
from tests.fixtures.proxies import PREFIX, PROXIES, RunningProxy
from tests.fixtures.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEY = "admin-key-of-the-tests-0001"
AS_ADMIN = {"Authorization": f"Bearer {KEY}"}
PICTURES = {f"drawn-{seed}": draw(seed, kind="JPEG") for seed in range(3)}
CLIENT = "127.0.0.2"


@pytest.fixture(scope="module")
def service(tmp_path_factory, make_data_dir) -> Iterator[Server]:
    """A service with three pictures and a key, under the prefix, without a worker."""
    data_dir = make_data_dir(tmp_path_factory.mktemp("proxied") / "data")
    environment = {"LOOKALIKE_BOOTSTRAP_ADMIN_KEY": KEY, "LOOKALIKE_ROOT_PATH": PREFIX}
    server = start_server(data_dir, env=environment)
    with server.client(headers=AS_ADMIN) as client:
        for name, picture in PICTURES.items():
            answer = client.put(f"/images/{name}", content=picture, headers={"content-type": "image/jpeg"})
            assert answer.status_code == 201, answer.text
    yield server
    server.stop()
    server.process.stdout.close()


@pytest.fixture(scope="module", params=PROXIES)
def proxy(request, service, tmp_path_factory) -> Iterator[RunningProxy]:
    with PROXIES[request.param](
        tmp_path_factory.mktemp(request.param), urlsplit(service.url).netloc
    ) as running:
        yield running


def open_client(proxy: RunningProxy, **options) -> httpx2.Client:
    """A client elsewhere: its address is not that of the proxy."""
    trust = ssl.create_default_context(cafile=str(proxy.certificate))
    transport = httpx2.HTTPTransport(verify=trust, local_address=CLIENT)
    return httpx2.Client(transport=transport, timeout=60, **options)


@pytest.fixture
def client(proxy) -> Iterator[httpx2.Client]:
    with open_client(proxy, headers=AS_ADMIN) as client:
        yield client


@pytest.fixture
def stranger(proxy) -> Iterator[httpx2.Client]:
    """A client without a key, as `<img>` and `EventSource` are."""
    with open_client(proxy) as client:
        yield client


@pytest.fixture(scope="module")
def large_archive() -> bytes:
    """A zip larger than what proxies take by default."""
    return zip_of({"large.bmp": bytes(40_000_000)}, zipfile.ZIP_STORED)


@pytest.fixture
def signed_in(browser, proxy) -> Iterator[Watched]:
    context = browser.new_context(
        ignore_https_errors=True, viewport={"width": DESKTOP[0], "height": DESKTOP[1]}
    )
    assert context.request.post(f"{proxy.url}/session", headers=AS_ADMIN).status == 204
    yield Watched(context.new_page(), proxy.origin)
    context.close()


def test_the_page_works_below_the_prefix(signed_in):
    page = signed_in.open(PREFIX)  # without the slash: the proxy redirects

    expect(page.locator(".card")).to_have_count(len(PICTURES))
    assert urlsplit(page.url).path == f"{PREFIX}/"
    choose(page, PICTURES["drawn-1"])
    expect_search(page)
    assert shown_ids(page)[0] == "drawn-1"
    expect(page.locator("#results .card img").first).to_have_js_property("complete", True)
    assert page.locator("#results .card img").first.evaluate("image => image.naturalWidth") > 0
    for view in ("collection", "duplicates", "jobs", "models", "system", "search"):
        page.locator(f"#to-{view}").click()
        expect(page.locator(f"#to-{view}")).to_have_attribute("aria-current", "page")
        page.wait_for_load_state("networkidle")
    page.locator("#to-jobs").click()
    page.reload()
    expect(page.locator("#to-jobs")).to_have_attribute("aria-current", "page")
    assert page.url == f"{signed_in.origin}{PREFIX}/?view=jobs"
    signed_in.assert_quiet()


def test_the_documentation_executes_below_the_prefix(signed_in):
    page = signed_in.open(f"{PREFIX}/docs")

    assert {item["id"] for item in execute(page, "listPictures")["items"]} == PICTURES.keys()
    signed_in.assert_quiet()


def test_thumbnails_open_by_their_signature_alone(client, stranger, proxy):
    found = client.post(f"{proxy.url}/search", files={"file": PICTURES["drawn-2"]}).json()["items"][0]

    assert found["id"] == "drawn-2"
    assert found["thumbnail_url"].startswith(f"{PREFIX}/images/drawn-2/thumbnail?")
    address = proxy.origin + found["thumbnail_url"]
    thumbnail = stranger.get(address)
    assert (thumbnail.status_code, thumbnail.headers["content-type"]) == (200, "image/webp")
    assert stranger.get(address.partition("?")[0]).status_code == 401


def test_a_large_upload_passes_and_events_arrive_at_once(client, stranger, proxy, service, large_archive):
    """No worker takes the job, so its stream stays open: what arrives was not held back by the proxy."""
    answer = client.post(
        f"{proxy.url}/index", content=large_archive, headers={"content-type": "application/zip"}
    )
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"{PREFIX}/jobs/{job['id']}"
    staged = [path for path in service.log.parent.rglob("*") if path.is_file() and job["id"] in str(path)]
    assert [path.stat().st_size for path in staged] == [len(large_archive)]

    with stranger.stream("GET", proxy.origin + job["links"]["events"]) as stream:
        states = (json.loads(line[5:])["status"] for line in stream.iter_lines() if line.startswith("data:"))
        assert next(states) == "queued"
        assert client.post(f"{proxy.origin}{answer.headers['location']}/cancel").status_code == 202
        assert next(states) == "cancelled"


def logged_request(service: Server, request_id: str) -> dict:
    """The log line of a request, which is written after its answer was sent."""
    for _ in range(200):
        for line in service.log.read_text().splitlines():
            if request_id in line:
                return json.loads(line)
        time.sleep(0.05)
    raise AssertionError(f"the request {request_id} was not logged")


def test_the_log_has_the_address_of_the_client_whatever_it_claims(client, proxy, service):
    spoofed = {
        "X-Forwarded-For": "203.0.113.5",
        "Forwarded": "for=203.0.113.5;host=evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Proto": "http",
        "X-Request-ID": f"spoofed-{os.urandom(4).hex()}",
    }
    answer = client.post(f"{proxy.url}/session", headers=spoofed)

    assert f"; Path={PREFIX};" in answer.headers["set-cookie"]
    assert "; Secure" in answer.headers["set-cookie"]
    assert logged_request(service, spoofed["X-Request-ID"])["address"] == CLIENT


def test_other_paths_of_the_host_and_a_second_prefix_do_not_reach_the_service(client, proxy):
    assert client.get(f"{proxy.url}/healthz").json() == {"status": "ok"}
    assert client.get(f"{proxy.origin}/healthz").text.find("ok") == -1
    assert client.get(f"{proxy.url}{PREFIX}/healthz").status_code == 404


def test_the_command_line_calls_the_service_through_the_proxy(proxy, tmp_path):
    picture = tmp_path / "query.jpg"
    picture.write_bytes(PICTURES["drawn-0"])
    command = [sys.executable, "-m", "app.cli.main", "search", str(picture), "--json", "--url", proxy.url]
    environment = {**os.environ, "LOOKALIKE_KEY": KEY, "SSL_CERT_FILE": str(proxy.certificate)}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["items"][0]["id"] == "drawn-0"
