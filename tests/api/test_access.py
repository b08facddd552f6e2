"""Keys, cookies, signed addresses and foreign origins: decided before a body is read."""

import asyncio
import re

import pytest
from starlette.testclient import TestClient

from app.api.app import create_app
from app.bootstrap import open_database
from app.domain.access import Scope
from app.domain.errors import DatabaseUnavailable
from app.services.access.keys import Keys, Rights
from app.settings import Misconfigured, Settings
from tests.api.conftest import Api, assert_problem, draw, local_client


def make_key(settings, scope: Scope, name: str = "test", **rights):
    async def make():
        async with open_database(settings) as database:
            return await Keys(database).create(name, Rights(scope, **rights))

    return asyncio.run(make())


def revoke(settings, key_id: str) -> None:
    async def work():
        async with open_database(settings) as database:
            await Keys(database).revoke(key_id)

    asyncio.run(work())


@pytest.fixture
def keys(settings) -> dict[Scope, str]:
    return {scope: make_key(settings, scope).text for scope in Scope}


@pytest.fixture
def locked(settings, keys):
    """A service with keys in use."""
    with local_client(create_app(settings, load_first=True)) as client:
        yield client


@pytest.fixture(scope="module")
def shared_settings(tmp_path_factory) -> Settings:
    """Of one service for the tests that only ask whether a key is needed."""
    return Settings(data_dir=tmp_path_factory.mktemp("access"), decode_children=1)


@pytest.fixture(scope="module")
def shared_keys(shared_settings) -> dict[Scope, str]:
    return {scope: make_key(shared_settings, scope).text for scope in Scope}


@pytest.fixture(scope="module")
def shared_locked(shared_settings, shared_keys):
    with local_client(create_app(shared_settings, load_first=True)) as client:
        yield client


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


PUBLIC = [("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json")]
METRICS = [("GET", "/metrics")]
SEARCHES = [
    ("GET", "/images/a"),
    ("GET", "/images/a/thumbnail"),
    ("GET", "/images/a/similar"),
    ("GET", "/images/a/suggestions"),
    ("GET", "/collections"),
    ("GET", "/collections/default"),
    ("GET", "/collections/default/calibration"),
    ("GET", "/collections/default/distances"),
    ("GET", "/collections/default/metadata"),
    ("GET", "/collections/default/words"),
    ("GET", "/info"),
    ("POST", "/search"),
    ("POST", "/search/query"),
    ("POST", "/search/batch"),
    ("POST", "/compare"),
    ("POST", "/compare/stored"),
]
READS = [
    ("GET", "/images"),
    ("GET", "/images/a/content"),
    ("GET", "/collections/default/stats"),
    ("GET", "/models"),
    ("GET", "/models/x/report"),
    ("GET", "/export"),
    ("GET", "/jobs"),
    ("GET", "/jobs/1"),
    ("GET", "/jobs/1/items"),
    ("GET", "/jobs/1/events"),
    ("GET", "/duplicates"),
    ("GET", "/duplicates/different"),
    ("GET", "/collections/default/labels"),
]
WRITES = [
    ("POST", "/index"),
    ("POST", "/index/upload"),
    ("POST", "/index/import"),
    ("PUT", "/images/a"),
    ("PATCH", "/images/a"),
    ("DELETE", "/images/a"),
    ("POST", "/images/delete"),
    ("POST", "/collections"),
    ("PATCH", "/collections/x"),
    ("DELETE", "/collections/x"),
    ("POST", "/jobs/1/cancel"),
    ("POST", "/duplicates/different"),
    ("POST", "/duplicates/different/delete"),
]
ADMIN = [
    ("POST", "/admin/anything"),
    ("GET", "/admin/anything"),
    ("POST", "/admin/jobs/index"),
    ("POST", "/admin/jobs/reencode"),
    ("POST", "/admin/jobs/train"),
    ("POST", "/admin/jobs/backup"),
    ("POST", "/admin/jobs/verify"),
    ("GET", "/admin/backups"),
    ("DELETE", "/admin/backups/1"),
    ("POST", "/admin/restore"),
    ("POST", "/admin/jobs/evaluate"),
    ("POST", "/admin/jobs/learn-words"),
    ("POST", "/admin/models/x/activate"),
    ("POST", "/admin/models/rollback"),
    ("POST", "/admin/models/prune"),
    ("POST", "/admin/models/compare"),
    ("POST", "/jobs/1/pause"),
    ("POST", "/jobs/1/resume"),
    ("POST", "/jobs/1/retry"),
    ("GET", "/admin/system"),
    ("GET", "/admin/keys"),
    ("POST", "/admin/keys"),
    ("GET", "/admin/keys/1"),
    ("PATCH", "/admin/keys/1"),
    ("DELETE", "/admin/keys/1"),
    ("POST", "/admin/keys/1/rotate"),
]
NEEDED = {
    Scope.METRICS: METRICS,
    Scope.SEARCH: SEARCHES,
    Scope.READ: READS,
    Scope.WRITE: WRITES,
    Scope.ADMIN: ADMIN,
}


@pytest.mark.parametrize(("method", "path"), PUBLIC)
def test_public_addresses_need_no_key(shared_locked, method, path):
    assert shared_locked.request(method, path).status_code == 200


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [(*route, scope) for scope, routes in NEEDED.items() for route in routes],
)
def test_every_route_asks_for_its_scope(shared_locked, shared_keys, prefix, method, path, needed):
    assert_problem(shared_locked.request(method, prefix + path), 401, "unauthenticated")
    for scope, text in shared_keys.items():
        answer = shared_locked.request(method, prefix + path, headers=bearer(text))
        assert (answer.status_code in {401, 403}) == (not scope.allows(needed)), (scope, answer.text)


def test_the_matrix_above_names_every_route(shared_locked):
    named = {
        (m, re.sub(r"/(a|x|default|anything|1)(?=/|$)", "/{}", p))
        for m, p in [*PUBLIC, *(route for routes in NEEDED.values() for route in routes)]
    }
    documented = {
        (method.upper(), re.sub(r"\{[^}]+\}", "{}", path))
        for path, operations in shared_locked.get("/openapi.json").json()["paths"].items()
        for method in operations
    }

    assert documented - named == {("POST", "/session"), ("DELETE", "/session")}


def test_a_key_is_taken_in_either_header_and_a_wrong_one_refused(locked, keys):
    key = keys[Scope.SEARCH]

    assert locked.get("/info", headers={"x-api-key": key}).status_code == 200
    assert_problem(locked.get("/info", headers={"x-api-key": key + "x"}), 401, "unauthenticated")
    refused = locked.get("/info", headers={"authorization": "Basic Zm9v"})
    assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/info", "/healthz", "/nowhere"])
@pytest.mark.parametrize("others", ["another", "", "Basic Zm9v"])
def test_two_different_keys_in_one_request_are_refused(shared_locked, shared_keys, path, others):
    key = shared_keys[Scope.READ]
    authorization = others if " " in others else f"Bearer {others}"
    answer = shared_locked.get(path, headers={"authorization": authorization, "x-api-key": key})

    problem = assert_problem(answer, 400, "bad_request")
    assert "send one" in problem["detail"]


def test_one_key_in_both_headers_is_taken(shared_locked, shared_keys):
    key = shared_keys[Scope.READ]

    assert shared_locked.get("/info", headers={**bearer(key), "x-api-key": key}).status_code == 200


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/images/a/thumbnail?expires=1&key=a&signature=b", "GET, HEAD, OPTIONS"),
        ("/v1/images/a/content", "GET, HEAD, OPTIONS"),
        ("/images/a", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"),
        ("/search", "POST, OPTIONS"),
        ("/admin/keys", "GET, HEAD, POST, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/page/core/address.js", "GET, HEAD, OPTIONS"),
    ],
)
def test_anyone_may_ask_for_the_methods_of_a_path(shared_locked, path, allowed):
    answer = shared_locked.options(path)

    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allowed, b"")


def test_anyone_may_ask_for_the_methods_of_the_service(shared_locked):
    async def ask() -> dict:
        scope = {"type": "http", "method": "OPTIONS", "path": "*", "query_string": b"", "headers": []}
        sent = []

        async def send(message):
            sent.append(message)

        await shared_locked.app({**scope, "client": ("203.0.113.9", 1)}, None, send)
        return sent[0]

    answer = asyncio.run(ask())
    assert answer["status"] == 204
    assert (b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS") in answer["headers"]


def test_the_methods_of_an_unknown_path_are_not_found(shared_locked):
    assert_problem(shared_locked.options("/nowhere"), 404, "not_found")


def test_a_wrong_key_is_answered_before_the_body_is_read(locked):
    read = 0

    def body():
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 65_536

    answer = locked.post("/index", content=body(), headers=bearer("lk_wrong"))

    # The in-process transport hands the body over whole; what matters is that the app never asked for it.
    assert_problem(answer, 401, "unauthenticated")


def test_keys_are_stored_as_digests_only(settings, keys):
    stored = b"".join(path.read_bytes() for path in settings.storage.data_dir.glob("lookalike.db*"))

    assert keys
    for text in keys.values():
        assert text.split("_")[1].encode() in stored
        assert text.encode() not in stored
        assert text.split("_", 2)[2].encode() not in stored


def test_a_revoked_key_is_refused_within_a_second(settings, locked):
    made = make_key(settings, Scope.SEARCH, "short-lived")
    deadline_polls = 50
    for _ in range(deadline_polls):
        if locked.get("/info", headers=bearer(made.text)).status_code == 200:
            break
        locked.portal.call(asyncio.sleep, 0.05)
    assert locked.get("/info", headers=bearer(made.text)).status_code == 200

    revoke(settings, made.record.id)

    for _ in range(deadline_polls):
        if locked.get("/info", headers=bearer(made.text)).status_code == 401:
            break
        locked.portal.call(asyncio.sleep, 0.02)
    assert_problem(locked.get("/info", headers=bearer(made.text)), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/healthz"), ("POST", "/healthz"), ("GET", "/"), ("POST", "/session"), ("DELETE", "/session")],
)
def test_no_more_than_a_little_of_a_stranger_s_body_is_received(locked, method, path):
    large = [b"x" * 65_537, iter([b"x"])]
    closes = [locked.request(method, path, content=body).headers.get("connection") for body in large]

    assert closes == ["close", "close"]
    assert "connection" not in locked.request(method, path, content=b"x").headers


def test_signed_picture_addresses_need_no_header(locked, keys):
    write = bearer(keys[Scope.WRITE])
    Api(locked).add(draw(1), ids=["a:b"], headers=write)
    hit = Api(locked).search(draw(1), headers=write).json()["items"][0]
    record = locked.get("/images/a:b", headers=write).json()

    assert locked.get(hit["thumbnail_url"]).status_code == 200
    assert locked.get(record["content_url"]).content == draw(1)
    assert locked.get("/v1" + record["content_url"]).status_code == 200


@pytest.mark.parametrize(
    "forge",
    [
        lambda url: url.replace("/thumbnail", "/content"),
        lambda url: url.replace("/images/a/", "/images/b/"),
        lambda url: re.sub(r"expires=\d+", "expires=99999999999", url),
        lambda url: re.sub(r"expires=\d+", "expires=1", url),
        lambda url: url.replace("expires=", "expires=0"),
        lambda url: re.sub(r"key=\w+", "key=0123456789ab", url),
        lambda url: re.sub(r"&key=\w+", "", url),
        lambda url: re.sub(r"signature=.", "signature=x", url),
        lambda url: url + "&collection=other",
        lambda url: url + "&collection=",
        lambda url: url + "&collectio%6E=other",
        lambda url: url.partition("&")[0],
    ],
)
def test_a_changed_picture_address_is_refused(locked, keys, forge):
    write = bearer(keys[Scope.WRITE])
    Api(locked).add(draw(1), draw(2), ids=["a", "b"], headers=write)
    url = Api(locked).search(draw(1), headers=write).json()["items"][0]["thumbnail_url"]

    assert_problem(locked.get(forge(url)), 401, "unauthenticated")


@pytest.mark.parametrize(
    "repeated", ["collection=default", "collection=other", "size=64", "expires=1", "key=1", "x=1&x=2"]
)
def test_a_signed_address_with_a_repeated_parameter_is_refused(locked, keys, repeated):
    write = bearer(keys[Scope.WRITE])
    locked.post("/collections", json={"name": "other"}, headers=write)
    Api(locked).add(draw(1), ids=["a"], headers=write)
    Api(locked).add(draw(2), ids=["a"], collection="other", headers=write)
    url = Api(locked).search(draw(1), headers=write, collection="other").json()["items"][0]["thumbnail_url"]
    assert locked.get(url).status_code == 200

    for changed in (f"{url}&{repeated}", url.replace("?", f"?{repeated}&")):
        assert_problem(locked.get(changed), 400, "bad_request")


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//[", "", "null", "http://a]b", "http://\xff"])
def test_an_origin_that_cannot_be_parsed_is_a_foreign_one(api, origin):
    answer = api.client.post("/images/delete", json={"ids": []}, headers={"origin": origin.encode("latin-1")})

    assert_problem(answer, 403, "forbidden")


@pytest.mark.parametrize("host", ["[", "[::1", "http://[", "a]b", "\xff", ""])
@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("POST", "/search"), ("POST", "/session")])
def test_a_host_that_cannot_be_parsed_is_no_defect(settings, host, method, path):
    exposed = settings.replace(insecure=True)
    with local_client(create_app(exposed, load_first=True), raise_server_exceptions=False) as client:
        answer = client.request(method, path, headers={"host": host.encode("latin-1")})
        assert answer.status_code in {204, 400, 404, 422}


def test_the_page_s_cookie_stands_for_its_key(locked, keys):
    answer = locked.post("/session", headers=bearer(keys[Scope.WRITE]))

    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 204
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert keys[Scope.WRITE] not in cookie
    assert locked.get("/info").status_code == 200
    assert locked.post("/images/delete", json={"ids": []}).status_code == 200
    foreign = locked.post("/images/delete", json={"ids": []}, headers={"origin": "https://evil.example"})
    assert_problem(foreign, 403, "forbidden")
    own = locked.post("/images/delete", json={"ids": []}, headers={"origin": "http://127.0.0.1:8000"})
    assert own.status_code == 200
    locked.delete("/session")
    assert_problem(locked.get("/info"), 401, "unauthenticated")


def test_a_session_needs_a_valid_key(locked):
    assert_problem(locked.post("/session"), 401, "unauthenticated")
    assert_problem(locked.post("/session", headers=bearer("lk_no")), 401, "unauthenticated")


def test_a_forged_cookie_is_refused(locked):
    answer = locked.get("/info", headers={"cookie": "lookalike_session=eyJrZXkiOiJ4In0"})

    assert_problem(answer, 401, "unauthenticated")


def test_without_keys_loopback_is_open_but_not_to_foreign_pages_or_names(api):
    assert api.client.get("/info").status_code == 200
    foreign = api.client.post("/images/delete", json={"ids": []}, headers={"origin": "https://evil.example"})
    assert_problem(foreign, 403, "forbidden")
    assert_problem(api.client.get("/info", headers={"host": "evil.example"}), 403, "forbidden")


def test_without_keys_a_reachable_address_never_opens(settings):
    exposed = Settings(data_dir=settings.storage.data_dir, host="0.0.0.0", decode_children=1)
    with TestClient(create_app(exposed, load_first=True), base_url="http://10.0.0.1") as client:
        assert_problem(client.get("/info"), 401, "unauthenticated")
        assert client.get("/healthz").status_code == 200


def test_insecure_opens_it_on_purpose(settings):
    exposed = Settings(data_dir=settings.storage.data_dir, host="0.0.0.0", insecure=True, decode_children=1)
    with TestClient(create_app(exposed, load_first=True), base_url="http://10.0.0.1") as client:
        assert client.get("/info").status_code == 200


def test_no_call_is_open_where_the_settings_close_loopback_too(settings):
    closed = settings.replace(unkeyed_loopback=False)
    with local_client(create_app(closed, load_first=True)) as client:
        assert_problem(client.get("/info"), 401, "unauthenticated")
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "pictures.example"),
        ("forwarded", "for=203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
        ("via", "1.1 proxy"),
    ],
)
def test_without_keys_a_call_through_a_proxy_on_this_machine_is_refused(api, name, value):
    body = assert_problem(api.client.get("/info", headers={name: value}), 401, "unauthenticated")

    assert "lookalike keys create" in body["detail"]


@pytest.mark.parametrize("peer", ["203.0.113.9", "192.168.1.4", "::ffff:10.0.0.1", "testclient"])
def test_without_keys_a_peer_elsewhere_is_refused(settings, peer):
    app = create_app(settings, load_first=True)
    with TestClient(app, base_url="http://127.0.0.1:8000", client=(peer, 1)) as client:
        assert_problem(client.get("/info"), 401, "unauthenticated")


@pytest.mark.parametrize("insecure", [False, True])
def test_once_a_key_was_made_calls_need_one_for_good(settings, insecure):
    settings = settings.replace(insecure=insecure)
    made = make_key(settings, Scope.ADMIN)
    revoke(settings, made.record.id)

    with local_client(create_app(settings, load_first=True)) as client:
        for method, path in [("GET", "/info"), ("GET", "/images"), ("POST", "/admin/jobs/verify")]:
            assert_problem(client.request(method, path), 401, "unauthenticated")
        assert_problem(client.get("/info", headers=bearer(made.text)), 401, "unauthenticated")
        assert_problem(client.post("/session"), 401, "unauthenticated")


def test_liveness_and_the_page_need_no_database(locked, monkeypatch):
    async def fail():
        raise DatabaseUnavailable

    monkeypatch.setattr(locked.app.state.services.keyring, "refresh", fail)

    for path in ("/healthz", "/v1/healthz", "/readyz", "/", "/docs", "/openapi.json"):
        assert locked.get(path).status_code == 200
    assert_problem(locked.get("/info"), 503, "database_unavailable")


def test_when_the_last_key_is_revoked_a_reachable_service_stays_shut(settings):
    made = make_key(settings, Scope.ADMIN)
    exposed = Settings(data_dir=settings.storage.data_dir, host="0.0.0.0", decode_children=1)
    with TestClient(create_app(exposed, load_first=True), base_url="http://10.0.0.1") as client:
        assert client.get("/info", headers=bearer(made.text)).status_code == 200
        revoke(settings, made.record.id)
        for _ in range(50):
            if client.get("/info", headers=bearer(made.text)).status_code == 401:
                break
            client.portal.call(asyncio.sleep, 0.02)
        assert_problem(client.get("/info"), 401, "unauthenticated")
        assert_problem(client.get("/info", headers=bearer(made.text)), 401, "unauthenticated")


def test_the_bootstrap_key_is_an_admin_key_and_can_be_revoked(settings, tmp_path):
    secret = tmp_path / "key"
    secret.write_text("a-bootstrap-key-of-some-length\n")
    with_key = Settings(data_dir=settings.storage.data_dir, bootstrap_admin_key_file=secret, decode_children=1)
    for _ in range(2):
        with local_client(create_app(with_key, load_first=True)) as client:
            assert_problem(client.get("/info"), 401, "unauthenticated")
            assert client.get("/info", headers=bearer("a-bootstrap-key-of-some-length")).status_code == 200


def test_another_origin_may_call_where_it_is_named(settings, keys):
    allowed = Settings(
        data_dir=settings.storage.data_dir,
        cors_origins="https://app.example, https://b.example",
        decode_children=1,
    )
    with local_client(create_app(allowed, load_first=True)) as client:
        preflight = client.options(
            "/search",
            headers={
                "origin": "https://app.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization, if-none-match, x-request-id",
            },
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        headers = {"origin": "https://app.example", **bearer(keys[Scope.SEARCH])}
        answer = client.post("/search", json={"image_id": "zz"}, headers=headers)
        assert_problem(answer, 404, "unknown_image")
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        refused = client.post("/search", json={}, headers={"origin": "https://app.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://app.example"
        readable = {name.strip() for name in answer.headers["access-control-expose-headers"].lower().split(",")}
        assert {
            "allow",
            "content-disposition",
            "etag",
            "idempotency-replayed",
            "location",
            "ratelimit",
            "ratelimit-policy",
            "retry-after",
            "www-authenticate",
            "x-request-id",
        } <= readable
        other = client.options(
            "/search", headers={"origin": "https://evil.example", "access-control-request-method": "POST"}
        )
        assert "access-control-allow-origin" not in other.headers


def test_any_origin_is_no_setting():
    with pytest.raises(Misconfigured, match="name each origin"):
        Settings(cors_origins="*")


def test_the_log_names_key_and_address_of_each_request_and_no_secret(locked, keys, capfd):
    locked.get("/images", headers=bearer(keys[Scope.READ]))
    locked.get("/images", headers=bearer("lk_wrong_secret"))
    locked.post("/session", headers=bearer(keys[Scope.READ]))

    log = capfd.readouterr()
    lines = [line for line in (log.out + log.err).splitlines() if "request " in line]
    key_id = keys[Scope.READ].split("_")[1]
    assert sum(f"key={key_id}" in line for line in lines) == 2
    assert sum("key=None" in line for line in lines) == 1
    assert all("address=127.0.0.1" in line for line in lines)
    for text in (*keys.values(), "lk_wrong_secret"):
        assert text not in log.out + log.err
