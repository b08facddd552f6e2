"""Keys over HTTP: created, changed, rotated, revoked and bound; sessions and signed URLs end with them."""

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from app.api.app import create_app
from app.domain.access import Scope
from tests.api.conftest import Api, assert_problem, draw, local_client
from tests.api.test_access import bearer, make_key


@pytest.fixture
def admin(settings) -> dict[str, str]:
    return bearer(make_key(settings, Scope.ADMIN, "admin").text)


@pytest.fixture
def client(settings, admin):
    with local_client(create_app(settings, load_first=True), raise_server_exceptions=False) as client:
        yield client


def created(client, admin, scope="search", **asked) -> dict:
    answer = client.post("/admin/keys", json={"name": "k", "scope": scope, **asked}, headers=admin)
    assert answer.status_code == 201, answer.text
    return answer.json()


def soon(client, status: int, url: str, **options):
    """The answer once another process's change has arrived."""
    for _ in range(100):
        answer = client.get(url, **options)
        if answer.status_code == status:
            return answer
        client.portal.call(asyncio.sleep, 0.02)
    raise AssertionError(answer.text)


def test_a_key_is_created_with_its_secret_shown_once(client, admin):
    made = client.post(
        "/admin/keys", json={"name": "shop", "scope": "search", "collections": ["shop", "shop"]}, headers=admin
    )
    key = made.json()

    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    assert (key["scope"], key["collections"], key["originals"]) == ("search", ["shop"], False)
    assert client.get("/info", headers=bearer(key["secret"])).status_code == 200
    listed = client.get("/admin/keys", headers=admin).text
    one = client.get(f"/admin/keys/{key['id']}", headers=admin).text
    assert key["id"] in listed
    for text in (listed, one):
        assert key["secret"] not in text
        assert "hash" not in text


def test_a_secret_is_not_stored_for_a_repeated_request(client, admin, settings):
    body = {"name": "k", "scope": "search"}
    headers = admin | {"idempotency-key": "again"}

    first = client.post("/admin/keys", json=body, headers=headers).json()
    second = client.post("/admin/keys", json=body, headers=headers).json()

    assert first["id"] != second["id"]
    stored = b"".join(path.read_bytes() for path in settings.storage.data_dir.glob("lookalike.db*"))
    assert first["secret"].encode() not in stored


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": " "}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"collections": []}, "/collections"),
        ({"collections": ["No Name"]}, "/collections/0"),
        ({"collections": ["a"], "scope": "admin"}, "/collections"),
        ({"collections": ["a"], "scope": "metrics"}, "/collections"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "/expires_at"),
        ({"scope": "root"}, "/scope"),
        ({"collection": "a"}, "/collection"),
    ],
)
def test_rights_that_make_no_sense_are_refused_by_field(client, admin, asked, pointer):
    answer = client.post("/admin/keys", json={"name": "k", "scope": "search", **asked}, headers=admin)

    assert pointer in [e["pointer"] for e in assert_problem(answer, 422, "validation_failed")["errors"]]
    assert len(client.get("/admin/keys", headers=admin).json()["items"]) == 1


def test_a_changed_key_has_its_new_rights_at_once(client, admin):
    key = created(client, admin)
    url, secret = f"/admin/keys/{key['id']}", bearer(key["secret"])
    assert_problem(client.get("/images", headers=secret), 403, "forbidden")

    wider = client.patch(url, json={"scope": "read", "name": "reader"}, headers=admin)

    assert (wider.json()["scope"], wider.json()["name"]) == ("read", "reader")
    assert client.get("/images", headers=secret).status_code == 200
    client.patch(url, json={"collections": ["other"]}, headers=admin)
    assert_problem(client.get("/images", headers=secret), 403, "forbidden")
    assert_problem(client.patch(url, json={"scope": "admin"}, headers=admin), 422, "validation_failed")
    client.patch(url, json={"collections": None}, headers=admin)
    assert client.get("/images", headers=secret).status_code == 200
    assert_problem(client.patch(url, json={"scope": None}, headers=admin), 422, "validation_failed")
    assert_problem(client.patch("/admin/keys/no", json={}, headers=admin), 404, "unknown_key")


def test_a_rotated_key_accepts_its_old_secret_for_the_overlap_only(client, admin):
    key = created(client, admin)
    url = f"/admin/keys/{key['id']}/rotate"

    second = client.post(url, json={"overlap_s": 60}, headers=admin).json()
    for secret in (key["secret"], second["secret"]):
        assert client.get("/info", headers=bearer(secret)).status_code == 200
    third = client.post(url, json={"overlap_s": 0.2}, headers=admin).json()
    assert_problem(client.get("/info", headers=bearer(key["secret"])), 401, "unauthenticated")
    soon(client, 401, "/info", headers=bearer(second["secret"]))
    fourth = client.post(url, json={"overlap_s": 0}, headers=admin).json()
    assert_problem(client.get("/info", headers=bearer(third["secret"])), 401, "unauthenticated")
    assert client.get("/info", headers=bearer(fourth["secret"])).status_code == 200
    assert client.post(url, headers=admin).json()["previous_secret_until"] is not None
    assert_problem(client.post(url, json={"overlap_s": -1}, headers=admin), 422, "validation_failed")


async def expire(services, key_id: str) -> None:
    """Let the end of a key be in the past, as if it had come."""
    async with services.database.write() as unit:
        await unit.keys.update(key_id, expires_at=unit.now - timedelta(seconds=1))
    services.keyring.mark_stale()


def test_a_key_ends_when_it_expires(client, admin):
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    key = created(client, admin, "read", expires_at=later)
    assert client.get("/info", headers=bearer(key["secret"])).status_code == 200
    client.post("/session", headers=bearer(key["secret"]))
    assert client.get("/info").status_code == 200

    client.portal.call(expire, client.app.state.services, key["id"])

    assert_problem(client.get("/info", headers=bearer(key["secret"])), 401, "unauthenticated")
    assert_problem(client.get("/info"), 401, "unauthenticated")
    # It can be prolonged, as its secret is still known to who holds it.
    client.patch(f"/admin/keys/{key['id']}", json={"expires_at": later}, headers=admin)
    assert client.get("/info", headers=bearer(key["secret"])).status_code == 200


def test_a_revoked_key_is_refused_at_once_and_stays_revoked(client, admin):
    key = created(client, admin)
    url = f"/admin/keys/{key['id']}"

    assert client.delete(url, headers=admin).status_code == 204
    assert_problem(client.get("/info", headers=bearer(key["secret"])), 401, "unauthenticated")
    assert client.delete(url, headers=admin).status_code == 204
    assert_problem(client.patch(url, json={"name": "x"}, headers=admin), 409, "key_revoked")
    assert_problem(client.post(f"{url}/rotate", headers=admin), 409, "key_revoked")
    assert client.get(url, headers=admin).json()["revoked_at"] is not None
    assert_problem(client.delete("/admin/keys/no", headers=admin), 404, "unknown_key")


def test_when_a_key_was_used_is_shown(client, admin):
    key = created(client, admin)
    client.get("/info", headers=bearer(key["secret"]))

    client.portal.call(client.app.state.services.keyring.write_uses)

    used = client.get(f"/admin/keys/{key['id']}", headers=admin).json()["last_used_at"]
    assert datetime.now(UTC) - datetime.fromisoformat(used) < timedelta(minutes=5)


def signed_urls(client, headers) -> list[str]:
    record = client.get("/images/a", headers=headers).json()
    return [record["thumbnail_url"], record["content_url"]]


@pytest.mark.parametrize(
    "end",
    [
        lambda client, admin, key: client.delete(f"/admin/keys/{key}", headers=admin),
        lambda client, admin, key: client.post(
            f"/admin/keys/{key}/rotate", json={"overlap_s": 0}, headers=admin
        ),
        lambda client, admin, key: client.patch(
            f"/admin/keys/{key}", json={"collections": ["other"]}, headers=admin
        ),
    ],
)
def test_signed_urls_and_sessions_end_with_their_key(client, admin, end):
    key = created(client, admin, "write")
    holder = bearer(key["secret"])
    Api(client).add(draw(1), ids=["a"], headers=holder)
    urls = signed_urls(client, holder)
    client.post("/session", headers=holder)
    cookie = {"cookie": f"lookalike_session={client.cookies['lookalike_session']}"}
    client.cookies.clear()
    assert [client.get(url).status_code for url in urls] == [200, 200]
    assert client.get("/images", headers=cookie).status_code == 200

    end(client, admin, key["id"])

    assert {client.get(url).status_code for url in urls} <= {401, 403}
    assert client.get("/images", headers=cookie).status_code in {401, 403}


def test_signed_urls_live_no_longer_than_set(client, admin, settings):
    Api(client).add(draw(1), ids=["a"], headers=admin)
    [url, _] = signed_urls(client, admin)

    left = int(re.search(r"expires=(\d+)", url)[1]) - time.time()

    assert settings.access.signature_lifetime_s * 0.7 < left <= settings.access.signature_lifetime_s


def test_a_signed_url_is_its_key_s(client, admin):
    Api(client).add(draw(1), ids=["a"], headers=admin)
    other = created(client, admin, "read")
    [url, _] = signed_urls(client, admin)

    assert_problem(client.get(re.sub(r"key=\w+", f"key={other['id']}", url)), 401, "unauthenticated")


def test_a_session_ends_at_logout_for_copies_of_its_cookie_too(settings, client, admin):
    with local_client(create_app(settings, load_first=True)) as second:
        client.post("/session", headers=admin)
        stolen = {"cookie": f"lookalike_session={client.cookies['lookalike_session']}"}
        client.cookies.clear()
        client.post("/session", headers=admin)
        other = {"cookie": f"lookalike_session={client.cookies['lookalike_session']}"}
        assert second.get("/info", headers=stolen).status_code == 200

        assert client.delete("/session", headers=stolen).status_code == 204

        assert_problem(client.get("/info", headers=stolen), 401, "unauthenticated")
        soon(second, 401, "/info", headers=stolen)
        assert second.get("/info", headers=other).status_code == 200
        assert client.delete("/session", headers={"cookie": "lookalike_session=nonsense"}).status_code == 204


def test_a_key_that_searches_sees_thumbnails_but_originals_only_if_asked(client, admin):
    Api(client).add(draw(1), ids=["a"], headers=admin)
    plain = bearer(created(client, admin)["secret"])
    wide = bearer(created(client, admin, originals=True)["secret"])

    [thumbnail, nothing] = signed_urls(client, plain)
    [_, original] = signed_urls(client, wide)

    assert client.get(thumbnail).status_code == 200
    assert nothing is None
    body = assert_problem(client.get("/images/a/content", headers=plain), 403, "forbidden")
    assert "thumbnail" in body["detail"]
    assert client.get(original).content == draw(1)
    assert client.get("/info", headers=plain).json()["memory_bytes"] is None
    for path in ("/export", "/metrics", "/jobs", "/images", "/admin/keys", "/duplicates", "/models"):
        assert_problem(client.get(path, headers=wide), 403, "forbidden")


def test_a_key_for_metrics_reads_nothing_else(client, admin):
    scraper = bearer(created(client, admin, "metrics")["secret"])

    assert "lookalike_http_requests_total" in client.get("/metrics", headers=scraper).text
    for path in ("/info", "/collections", "/images/a", "/jobs"):
        assert_problem(client.get(path, headers=scraper), 403, "forbidden")


@pytest.fixture
def bound(client, admin):
    """A key that may write ``mine``; ``other`` and the default collection hold pictures too."""
    for name in ("mine", "other"):
        client.post("/collections", json={"name": name}, headers=admin)
        Api(client).add(draw(1), ids=["a"], collection=name, metadata=[{"of": name}], headers=admin)
    Api(client).add(draw(1), ids=["a"], metadata=[{"of": "default"}], headers=admin)
    return bearer(created(client, admin, "write", collections=["mine"])["secret"])


ZIP = {"content-type": "application/zip"}
CODE = {"code": "00" * 32, "model": "lite2-256"}


def requests_on(name: str) -> dict[tuple[str, str], list[dict]]:
    """Every way to name a collection, by operation."""
    query = {"params": {"collection": name}}
    form = {"data": {"collection": name}}
    picture = {"files": {"file": ("q", draw(1))}, **form}
    pair = {"files": {"first": ("q", draw(1)), "second": ("q", draw(2))}, **form}
    archive = {"files": {"archive": ("a.zip", b"PK")}, **form}
    listed = {"files": {"list": ("a.csv", b"url\n")}, **form}
    stored_pair = {"json": {"first": "a", "second": "a", "collection": name}}
    searches = [
        {"json": {"image_id": "a", "collection": name}},
        {"json": {"images": [{"image_id": "a"}], "collection": name}},
        {"json": {"text": "dog", "collection": name}},
        {"json": {**CODE, "collection": name}},
        {"json": {"url": "https://pictures.example/a.png", "collection": name}},
    ]
    imports = [
        {"json": {"folder": "x", "collection": name}},
        {"json": {"urls": ["https://pictures.example/a.png"], "collection": name}},
    ]
    return {
        ("POST", "/search"): [picture, *searches],
        ("POST", "/search/query"): searches,
        ("POST", "/search/batch"): [{"json": {"queries": [{"image_id": "a"}, CODE], "collection": name}}],
        ("POST", "/compare"): [pair, stored_pair],
        ("POST", "/compare/stored"): [stored_pair],
        ("GET", "/duplicates"): [query],
        ("GET", "/duplicates/different"): [query],
        ("POST", "/duplicates/different"): [{"json": {"ids": ["a", "b"], "collection": name}}],
        ("POST", "/duplicates/different/delete"): [{"json": {"ids": ["a", "b"], "collection": name}}],
        ("POST", "/index"): [
            {"files": {"files": ("q", draw(3))}, **form},
            {"files": {"files": ("q", draw(3))}, **query},
            archive,
            listed,
            {"content": b"PK", "headers": ZIP, **query},
            {"json": {"urls": ["https://pictures.example/a.png"]}, **query},
            *imports,
        ],
        ("POST", "/index/import"): imports,
        ("POST", "/index/upload"): [archive, listed],
        ("GET", "/images"): [query],
        ("GET", "/images/{image_id}"): [query],
        ("PUT", "/images/{image_id}"): [{"content": draw(4), **query}],
        ("PATCH", "/images/{image_id}"): [{"json": {"metadata": {}}, **query}],
        ("GET", "/images/{image_id}/similar"): [query],
        ("GET", "/images/{image_id}/suggestions"): [query],
        ("GET", "/images/{image_id}/thumbnail"): [query],
        ("GET", "/images/{image_id}/content"): [query],
        ("POST", "/images/delete"): [
            {"json": {"ids": ["a"], "collection": name, "dry_run": True}},
            {"json": {"all": True, "collection": name, "dry_run": True}},
            {"json": {"samples": True, "collection": name, "dry_run": True}},
            {"json": {"filter": {"must": [{"key": "of", "match": name}]}, "collection": name, "dry_run": True}},
        ],
        ("DELETE", "/images/{image_id}"): [query],
        ("POST", "/collections"): [{"json": {"name": name}}],
        ("GET", "/collections/{name}"): [{}],
        ("PATCH", "/collections/{name}"): [{"json": {"description": "x"}}],
        ("GET", "/collections/{name}/stats"): [{}],
        ("GET", "/collections/{name}/calibration"): [{}],
        ("GET", "/collections/{name}/metadata"): [{}],
        ("GET", "/collections/{name}/words"): [{}],
        ("GET", "/collections/{name}/labels"): [{}],
        ("GET", "/collections/{name}/distances"): [{"params": CODE}],
        ("GET", "/export"): [query],
        ("GET", "/jobs"): [query],
        ("DELETE", "/collections/{name}"): [{}],
    }


OF_NO_COLLECTION = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("POST", "/session"),
    ("DELETE", "/session"),
}
FILTERED = {("GET", "/info"), ("GET", "/collections"), ("GET", "/models"), ("GET", "/models/{name}/report")}
OF_JOBS = {
    ("GET", "/jobs/{job_id}"),
    ("GET", "/jobs/{job_id}/items"),
    ("GET", "/jobs/{job_id}/events"),
    ("POST", "/jobs/{job_id}/cancel"),
}
OF_ADMINS_ONLY = re.compile(r"/admin/.*|/jobs/\{job_id\}/(?:pause|resume|retry)")
OF_THE_SERVICE = {("GET", "/metrics")}


def test_every_route_is_known_to_the_tests_of_bound_keys(client):
    documented = {
        (method.upper(), path)
        for path, operations in client.get("/openapi.json").json()["paths"].items()
        for method in operations
        if not OF_ADMINS_ONLY.fullmatch(path)
    }

    assert documented == OF_NO_COLLECTION | FILTERED | OF_JOBS | OF_THE_SERVICE | requests_on("x").keys()


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("name", ["other", "default", "missing"])
def test_a_bound_key_is_refused_for_other_collections_on_every_route(client, admin, bound, prefix, name):
    for (method, path), requests in requests_on(name).items():
        url = prefix + path.format(image_id="a", name=name)
        for request in requests:
            headers = bound | request.get("headers", {})
            answer = client.request(method, url, **request | {"headers": headers})
            detail = assert_problem(answer, 403, "forbidden")["detail"]
            assert "mine" in detail, (method, url)
    for path in ("/images/a", "/images/a/content"):
        answer = client.get(path, params={"collection": "other"}, headers=admin)
        assert answer.status_code == 200
    assert client.get("/collections/missing", headers=admin).status_code == 404


def test_a_bound_key_is_refused_where_no_collection_is_named_and_the_default_is_meant(client, bound):
    for request in (
        {"url": "/search", "files": {"file": ("q", draw(1))}},
        {"url": "/search", "json": {"image_id": "a"}},
        {"url": "/search/batch", "json": {"queries": [{"image_id": "a"}]}},
        {"url": "/compare", "json": {"first": "a", "second": "a"}},
        {"url": "/search/query", "json": {"image_id": "a"}},
        {"url": "/compare/stored", "json": {"first": "a", "second": "a"}},
        {"url": "/index", "files": {"files": ("q", draw(3))}},
        {"url": "/index/upload", "files": {"archive": ("a.zip", b"PK")}},
        {"url": "/index/import", "json": {"urls": ["https://pictures.example/a.png"]}},
        {"url": "/images/delete", "json": {"ids": ["a"], "dry_run": True}},
    ):
        assert_problem(client.post(**request, headers=bound), 403, "forbidden")
    for path in ("/images", "/images/a", "/images/a/thumbnail", "/export", "/duplicates"):
        assert_problem(client.get(path, headers=bound), 403, "forbidden")


def test_a_bound_key_may_use_its_own_collection_on_every_route(client, bound):
    for (method, path), requests in requests_on("mine").items():
        url = path.format(image_id="a", name="mine")
        for request in requests:
            answer = client.request(method, url, **request | {"headers": bound | request.get("headers", {})})
            assert answer.status_code not in {401, 403}, (method, url, answer.text)
        if (method, path) == ("DELETE", "/images/{image_id}"):
            Api(client).add(draw(1), ids=["a"], collection="mine", headers=bound)


def test_a_cursor_does_not_lead_a_bound_key_elsewhere(client, admin, bound):
    Api(client).add(draw(2), ids=["b"], collection="other", headers=admin)
    found = Api(client).search(draw(1), collection="other", limit=1, headers=admin).json()

    answer = client.post("/search", json={"cursor": found["next_cursor"]}, headers=bound)

    assert_problem(answer, 403, "forbidden")


def test_a_signed_url_of_a_bound_key_opens_its_collection_only(client, bound):
    record = client.get("/images/a", params={"collection": "mine"}, headers=bound).json()

    assert client.get(record["content_url"]).status_code == 200
    for name in ("other", "default"):
        answer = client.get(record["content_url"].replace("collection=mine", f"collection={name}"))
        assert_problem(answer, 401, "unauthenticated")


def test_a_bound_key_sees_its_own_collections_models_and_jobs_only(client, admin, bound):
    def names(path: str) -> list[str]:
        return [one["name"] for one in client.get(path, headers=bound).json()["items"]]

    info = client.get("/info", headers=bound).json()
    assert [one["name"] for one in info["collections"]] == names("/collections") == ["mine"]
    assert (info["images"], info["memory_bytes"]) == (1, None)
    assert names("/models") == ["lite2-256"]
    report = client.get("/models/lite2-256/report", headers=bound).json()
    assert report["collections"] == ["mine"]
    unused = [
        one["name"] for one in client.get("/models", headers=admin).json()["items"] if not one["collections"]
    ]
    for name in unused:
        assert_problem(client.get(f"/models/{name}/report", headers=bound), 404, "unknown_model")
    assert_problem(client.get("/metrics", headers=bound), 403, "forbidden")

    verify = client.post("/admin/jobs/verify", json={}, headers=admin).json()["id"]
    foreign = client.post("/admin/jobs/evaluate", json={"collection": "other", "label": "of"}, headers=admin)
    own = client.post("/admin/jobs/evaluate", json={"collection": "mine", "label": "of"}, headers=admin)
    jobs = client.get("/jobs", headers=bound).json()["items"]
    assert [job["id"] for job in jobs] == [own.json()["id"]]
    assert client.get(f"/jobs/{own.json()['id']}", headers=bound).status_code == 200
    for job_id in (verify, foreign.json()["id"]):
        for path in ("", "/items", "/events"):
            assert_problem(client.get(f"/jobs/{job_id}{path}", headers=bound), 404, "unknown_job")
        assert_problem(client.post(f"/jobs/{job_id}/cancel", headers=bound), 404, "unknown_job")
    assert client.get(f"/jobs/{verify}", headers=admin).json()["status"] == "queued"
    assert client.post(f"/jobs/{own.json()['id']}/cancel", headers=bound).status_code == 202


def test_an_event_stream_ends_when_its_key_is_revoked(client, admin):
    job_id = client.post("/admin/jobs/verify", json={}, headers=admin).json()["id"]
    key = created(client, admin, "read")
    url = client.get(f"/jobs/{job_id}", headers=bearer(key["secret"])).json()["links"]["events"]
    client.portal.call(revoke_soon, client.app.state.services, key["id"])

    answer = client.get(url)  # returns when the stream ends

    assert answer.status_code == 200
    assert "event: end" not in answer.text


async def revoke_soon(services, key_id: str) -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(0.3, lambda: loop.create_task(services.keys.revoke(key_id)))
