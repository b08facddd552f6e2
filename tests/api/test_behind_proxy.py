"""The service under a prefix and behind proxies: what is believed, from whom, and what answers then say."""

from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from app.api.app import create_app
from app.settings import Misconfigured, Settings
from tests.api.conftest import assert_problem, draw

KEY = "admin-key-of-the-tests-0001"
AS_ADMIN = {"Authorization": f"Bearer {KEY}"}
PREFIX = "/pictures"
FROM_PROXY = {
    "X-Forwarded-For": "192.0.2.7:4711",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "gallery.example",
}
STRANGER = "198.51.100.9"


def client_of(app: FastAPI, peer: str = "127.0.0.1") -> TestClient:
    """A client whose connections come from ``peer``; it calls in the event loop of a running application."""
    client = TestClient(app, base_url="http://127.0.0.1:8000", client=(peer, 50_000), follow_redirects=False)
    client.portal = getattr(app.state, "portal", None)
    return client


@pytest.fixture(scope="module")
def app(tmp_path_factory, make_data_dir):
    data_dir = make_data_dir(tmp_path_factory.mktemp("proxy") / "data")
    settings = Settings(data_dir=data_dir, decode_children=1, bootstrap_admin_key=KEY, root_path=PREFIX)
    app = create_app(settings, load_first=True)
    with client_of(app) as client:
        app.state.portal = client.portal
        headers = AS_ADMIN | {"content-type": "image/png"}
        assert client.put("/images/red@shoe", content=draw(1), headers=headers).status_code == 201
        yield app


@dataclass
class Proxy:
    """Forwards requests as one kind of proxy does."""

    app: FastAPI
    prefix: str
    strips: bool
    names_prefix: bool

    def ask(self, method: str, address: str, *, headers: dict[str, str] | None = AS_ADMIN, **options):
        assert address.startswith(self.prefix)
        path = address.removeprefix(self.prefix) if self.strips else address
        named = {"X-Forwarded-Prefix": self.prefix} if self.names_prefix else {}
        return client_of(self.app).request(
            method, path, headers={**FROM_PROXY, **named, **(headers or {})}, **options
        )


PROXIES = {
    "keeps the prefix": (PREFIX, False, False),
    "removes it": (PREFIX, True, False),
    "removes it and says so": (PREFIX, True, True),
    "removes another and says so": ("/shop/gallery", True, True),
}


@pytest.fixture(params=PROXIES)
def proxy(request, app) -> Proxy:
    return Proxy(app, *PROXIES[request.param])


def test_addresses_of_pictures_begin_with_the_prefix_and_their_signatures_hold(proxy):
    found = proxy.ask("POST", f"{proxy.prefix}/search", files={"file": draw(1)}).json()["items"][0]
    record = proxy.ask("GET", f"{proxy.prefix}/images/red@shoe").json()

    for address in [found["thumbnail_url"], record["thumbnail_url"], record["content_url"]]:
        assert address.startswith(f"{proxy.prefix}/images/red@shoe/")
        assert "signature=" in address
        assert proxy.ask("GET", address, headers=None).status_code == 200
        forged = address.replace("signature=", "signature=0")
        assert proxy.ask("GET", forged, headers=None).status_code == 401


def test_errors_about_paths_name_them_with_the_prefix(proxy):
    slash = proxy.ask("GET", f"{proxy.prefix}/collections/").json()["detail"]
    misspelt = proxy.ask("GET", f"{proxy.prefix}/colection").json()["detail"]
    unlike = proxy.ask("GET", f"{proxy.prefix}/qqqqqqqq").json()["detail"]
    method = proxy.ask("DELETE", f"{proxy.prefix}/search").json()["detail"]

    assert slash.endswith(f"leave out the trailing slash: {proxy.prefix}/collections")
    assert misspelt == (f"There is no {proxy.prefix}/colection; did you mean {proxy.prefix}/collections?")
    assert f"{proxy.prefix}/docs and {proxy.prefix}/openapi.json" in unlike
    assert method == f"{proxy.prefix}/search does not take DELETE; use POST."


def test_absolute_addresses_have_the_host_and_the_prefix_of_the_proxy(proxy):
    record = proxy.ask("GET", f"{proxy.prefix}/images/red@shoe?absolute_urls=true").json()

    start = f"https://gallery.example{proxy.prefix}/images/red@shoe/"
    assert record["thumbnail_url"].startswith(start)
    assert record["content_url"].startswith(start)


def test_addresses_of_jobs_and_collections_begin_with_the_prefix(proxy):
    job = proxy.ask("POST", f"{proxy.prefix}/admin/jobs/verify", json={})
    name = f"shoes-{len(proxy.prefix)}-{proxy.strips}-{proxy.names_prefix}".lower()
    made = proxy.ask("POST", f"{proxy.prefix}/collections", json={"name": name})

    assert job.headers["location"] == f"{proxy.prefix}/jobs/{job.json()['id']}"
    assert proxy.ask("GET", job.headers["location"]).status_code == 200
    assert made.headers["location"] == f"{proxy.prefix}/collections/{name}"
    assert proxy.ask("GET", made.headers["location"]).status_code == 200
    links = job.json()["links"]
    assert all(link.startswith(f"{proxy.prefix}/jobs/") for link in links.values())
    assert proxy.ask("GET", links["failed_items"]).status_code == 200
    assert proxy.ask("HEAD", links["events"], headers=None).status_code == 200
    proxy.ask("POST", f"{job.headers['location']}/cancel")


def test_problems_name_the_address_that_was_asked_for(proxy):
    path = f"{proxy.prefix}/images/none"

    assert assert_problem(proxy.ask("GET", path), 404, "unknown_image")["instance"] == path
    assert assert_problem(proxy.ask("GET", path, headers=None), 401, "unauthenticated")["instance"] == path
    nowhere = f"{proxy.prefix}/nowhere"
    assert assert_problem(proxy.ask("GET", nowhere), 404, "not_found")["instance"] == nowhere
    twice = proxy.ask("GET", f"{proxy.prefix}/images?limit=1&limit=2")
    assert assert_problem(twice, 400, "bad_request")["instance"] == f"{proxy.prefix}/images"


def test_the_document_names_the_prefix_as_its_server(proxy):
    document = proxy.ask("GET", f"{proxy.prefix}/openapi.json", headers=None).json()

    assert [server["url"] for server in document["servers"]] == [proxy.prefix]
    assert "/search" in document["paths"]


def test_the_cookie_is_for_the_prefix_and_for_https(proxy):
    opened = proxy.ask("POST", f"{proxy.prefix}/session")
    closed = proxy.ask("DELETE", f"{proxy.prefix}/session")

    for answer in [opened, closed]:
        assert f"; Path={proxy.prefix};" in answer.headers["set-cookie"]
    assert "; Secure" in opened.headers["set-cookie"]


def test_pages_of_the_public_origin_may_write_with_the_cookie(proxy):
    cookie = proxy.ask("POST", f"{proxy.prefix}/session").headers["set-cookie"].partition(";")[0]

    def write(origin: str):
        headers = {"Cookie": cookie, "Origin": origin}
        return proxy.ask("POST", f"{proxy.prefix}/images/delete", headers=headers, json={"ids": ["none"]})

    assert write("https://gallery.example").status_code == 200
    assert_problem(write("https://evil.example"), 403, "forbidden")


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/page/main.js", "/docs/docs.js", "/healthz", "/metrics", "/v1/info"]
)
def test_every_kind_of_file_and_route_is_found_below_the_prefix(proxy, path):
    assert proxy.ask("GET", proxy.prefix + path).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/docs.js", "/page/shell.js", "/page/core/api.js"])
def test_the_page_has_no_address_that_only_works_without_a_prefix(app, path):
    text = client_of(app).get(path).text

    assert not [part for part in ('="/', 'fetch("/', "url(/", '"/openapi.json"', 'from "/') if part in text]


def test_the_prefix_itself_leads_to_the_page(app):
    bare = client_of(app).get(PREFIX)
    with_state = client_of(app).get(f"{PREFIX}?view=jobs")

    assert (bare.status_code, bare.headers["location"]) == (307, f"{PREFIX}/")
    assert with_state.headers["location"] == f"{PREFIX}/?view=jobs"
    assert bare.headers["x-content-type-options"] == "nosniff"


def test_only_one_prefix_is_removed(app):
    assert client_of(app).get(f"{PREFIX}{PREFIX}/healthz", headers=AS_ADMIN).status_code == 404
    assert client_of(app).get(f"{PREFIX}x/healthz", headers=AS_ADMIN).status_code == 404
    # A proxy that removed one has applied its rules to the address with both.
    named = {"X-Forwarded-Prefix": PREFIX}
    assert client_of(app).get(f"{PREFIX}/healthz", headers=AS_ADMIN | named).status_code == 404


@pytest.mark.parametrize("root_path", ["/images", "/v1", "/docs/x", "/page", "/openapi.json", "/admin/x"])
def test_a_prefix_that_begins_like_a_path_of_the_service_is_refused(tmp_path, root_path):
    with pytest.raises(Misconfigured, match="is a path of the service"):
        create_app(Settings(data_dir=tmp_path, root_path=root_path))


@pytest.mark.parametrize(
    "root_path", ["pictures", "//x", "/a//b", "/a/../b", "/ä", "/a b", "/a?b", "https://x/a"]
)
def test_a_prefix_that_is_no_plain_path_is_refused(root_path):
    with pytest.raises(Misconfigured, match="write a path such as /pictures"):
        Settings(root_path=root_path)


def test_a_slash_at_the_end_of_the_prefix_does_not_matter():
    assert (Settings(root_path="/a/b/").server.root_path, Settings(root_path="/").server.root_path) == (
        "/a/b",
        "",
    )


@pytest.mark.parametrize("trusted", ["*", "proxy.example", "10.0.0.1/8", "10.0.0.5,"])
def test_trusted_proxies_are_addresses_and_networks(trusted):
    if trusted.endswith(","):
        assert Settings(trusted_proxies=trusted).server.trusted_proxies == ["10.0.0.5"]
        return
    with pytest.raises(Misconfigured, match="neither an address nor a network"):
        Settings(trusted_proxies=trusted)


SPOOFED = [
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil"},
    {"Forwarded": "for=127.0.0.1;host=evil.example;proto=https"},
]


def logged_address(app: FastAPI, peer: str, headers: dict[str, str]) -> str:
    with capture_logs() as logs:
        client_of(app, peer).get("/info", headers=headers)
    return next(entry["address"] for entry in logs if entry["event"] == "request")


@pytest.mark.parametrize("headers", SPOOFED)
def test_headers_from_anyone_else_change_nothing(app, headers):
    stranger = client_of(app, STRANGER)
    record = stranger.get("/images/red@shoe?absolute_urls=true", headers=AS_ADMIN | headers).json()
    opened = stranger.post("/session", headers=AS_ADMIN | headers | {"X-Forwarded-Proto": "https"})
    document = stranger.get("/openapi.json", headers=headers).json()

    assert record["thumbnail_url"].startswith(f"http://127.0.0.1:8000{PREFIX}/images/")
    assert "Secure" not in opened.headers["set-cookie"]
    assert document["servers"][0]["url"] == PREFIX
    assert logged_address(app, STRANGER, headers) == STRANGER


def test_the_log_has_the_address_of_the_client_of_a_trusted_proxy(app):
    assert logged_address(app, "127.0.0.1", FROM_PROXY) == "192.0.2.7"
    assert logged_address(app, "::ffff:127.0.0.1", FROM_PROXY) == "192.0.2.7"
    assert logged_address(app, "::1", {"Forwarded": 'for="[2001:db8::7]:4711"'}) == "2001:db8::7"


def test_wrong_keys_count_for_the_address_that_is_believed(app):
    """A stranger that spoofs a new address with each guess is one address; clients of a proxy are several."""
    guesses = app.state.services.key_guesses
    counted = []

    async def note(address: str) -> None:
        counted.append(address)

    original, guesses.failed = guesses.failed, note
    try:
        for last in (1, 2):
            headers = {"X-Forwarded-For": f"203.0.113.{last}", "X-API-Key": "wrong"}
            client_of(app, STRANGER).get("/info", headers=headers)
            client_of(app).get("/info", headers=headers)
    finally:
        guesses.failed = original
    assert counted == [STRANGER, "203.0.113.1", STRANGER, "203.0.113.2"]


@pytest.mark.parametrize("headers", SPOOFED)
@pytest.mark.parametrize("peer", [STRANGER, "127.0.0.1"])
def test_without_keys_no_header_makes_a_call_direct(tmp_path_factory, make_data_dir, peer, headers):
    settings = Settings(data_dir=make_data_dir(tmp_path_factory.mktemp("open") / "data"), root_path=PREFIX)
    app = create_app(settings, load_first=True)
    with client_of(app, peer) as client:
        assert_problem(client.get("/info", headers=headers), 401, "unauthenticated")
