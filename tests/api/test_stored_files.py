"""Original files and thumbnails: intact or refused, without positions, never run by a browser."""

import asyncio
import io

import pytest
from PIL import Image

from app.api.app import create_app
from app.images.objects import PIECE_BYTES
from tests.api.conftest import Api, assert_problem, draw, local_client
from tests.api.importing import finished, items_of, working
from tests.unit.images.test_positions import GPS, SECRETS, exif_with_position

KEY = "a-bootstrap-key-of-this-module"


def located(**options) -> bytes:
    """A JPEG of several pieces that names the place where it was taken."""
    out = io.BytesIO()
    picture = Image.effect_noise((1200, 900), 90).convert("RGB")
    picture.save(out, "JPEG", quality=92, exif=exif_with_position(), **options)
    return out.getvalue()


def stored_file(settings, client, image_id: str = "a"):
    sha256 = client.get(f"/images/{image_id}").json()["sha256"]
    return settings.storage.data_dir / "store" / "pictures" / sha256[:2] / sha256[2:4] / sha256


def damage(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_file_is_served_without_the_position(api):
    content = located()
    assert len(content) > 2 * PIECE_BYTES
    api.add(content, ids=["a"])

    answer = api.client.get("/images/a/content")

    assert len(answer.content) == len(content) == int(answer.headers["content-length"])
    assert all(secret not in answer.content for secret in SECRETS)
    with Image.open(io.BytesIO(answer.content)) as served, Image.open(io.BytesIO(content)) as original:
        assert dict(served.getexif().get_ifd(GPS)) == {}
        assert served.getexif()[0x010F] == "Camera"
        assert served.tobytes() == original.tobytes()
    assert answer.headers["etag"].endswith('-n"')
    # Added again it is the same picture: its checksum is that of the file that was uploaded.
    assert api.add(content, ids=["a"]).json()["items"][0]["status"] == "unchanged"


def test_a_file_that_cannot_be_searched_for_positions_is_not_served(api):
    api.add(draw(1) + b"+12.5+012.5/" * 250_000, ids=["a"])

    problem = assert_problem(api.client.get("/images/a/content"), 403, "forbidden")

    assert "too much metadata" in problem["detail"]
    assert api.client.get("/images/a/thumbnail?size=64").status_code == 200


def test_a_setting_keeps_positions(settings):
    settings = settings.replace(serve_positions=True)
    with local_client(create_app(settings, load_first=True)) as client:
        content = located()
        Api(client).add(content, ids=["a"])
        answer = client.get("/images/a/content")

        assert answer.content == content
        with Image.open(io.BytesIO(answer.content)) as served:
            assert served.getexif().get_ifd(GPS)[1] == "N"


@pytest.mark.parametrize("make", [lambda: draw(1), located])
def test_a_damaged_file_is_refused_by_name(api, settings, make):
    api.add(make(), ids=["a"])
    damage(stored_file(settings, api.client))

    assert_problem(api.client.get("/images/a/content"), 410, "file_damaged")
    assert_problem(api.client.get("/images/a/thumbnail"), 410, "file_damaged")
    assert api.client.get("/images/a").status_code == 200
    assert api.search(make()).json()["items"][0]["id"] == "a"


def test_a_truncated_file_is_refused_by_name(api, settings):
    api.add(draw(1), ids=["a"])
    path = stored_file(settings, api.client)
    for size in (10, 0):
        path.write_bytes(path.read_bytes()[:size])
        assert_problem(api.client.get("/images/a/content"), 410, "file_damaged")
    path.unlink()
    assert_problem(api.client.get("/images/a/content"), 410, "picture_gone")


def test_a_damaged_thumbnail_is_made_again(api, settings):
    api.add(draw(1), ids=["a"])
    whole = api.client.get("/images/a/thumbnail?size=64").content
    [path] = (settings.storage.data_dir / "store" / "thumbnails").rglob("*-64")
    for damaged in (b"", path.read_bytes()[:50], b"<html>", path.read_bytes()[:-1] + b"\0\0"):
        path.write_bytes(damaged)
        assert api.client.get("/images/a/thumbnail?size=64").content == whole


def test_the_same_file_put_again_repairs_it(api, settings):
    api.add(draw(1), ids=["a"])
    damage(stored_file(settings, api.client))

    assert api.client.put("/images/a", content=draw(1)).status_code == 200

    assert api.client.get("/images/a/content").content == draw(1)


def test_verify_restores_lost_and_damaged_files_from_a_backup(api, settings):
    client = api.client
    api.add(draw(1), draw(2), draw(3), ids=["a", "b", "c"])
    with working(client):
        job = client.post("/admin/jobs/backup", json={"copy_pictures": True}).json()
        assert finished(client, job["id"])["status"] == "succeeded"
        damage(stored_file(settings, client, "a"))
        stored_file(settings, client, "b").unlink()
        api.add(draw(4), ids=["d"])
        damage(stored_file(settings, client, "d"))

        def verified(repair: bool) -> tuple[dict, dict]:
            started = client.post("/admin/jobs/verify", json={"repair": repair, "deep": True}).json()
            done = finished(client, started["id"])
            faults = {item["id"]: item["error"]["code"] for item in items_of(client, done["id"])}
            return faults, done["result"]

        found, _ = verified(False)
        _, repaired = verified(True)
        left, _ = verified(False)

    assert found == {"a": "file_damaged", "b": "file_missing", "d": "file_damaged"}
    assert repaired["repaired"] == 2
    assert left == {"d": "file_damaged"}
    assert client.get("/images/a/content").content == draw(1)
    assert client.get("/images/b/content").content == draw(2)


def test_a_stored_type_that_browsers_run_is_not_served(api):
    api.add(draw(1), ids=["a"])

    async def restore_badly(services) -> None:
        import sqlalchemy as sa

        from app.store.schema.tables import images

        async with services.database.write() as unit:
            await unit.images._connection.execute(sa.update(images).values(media_type="text/html"))

    api.client.portal.call(restore_badly, api.client.app.state.services)
    answer = api.client.get("/images/a/content")

    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_every_answer_has_the_headers_that_browsers_heed(api):
    api.add(draw(1), ids=["a"])
    answers = [
        api.client.get(path)
        for path in (
            "/",
            "/docs",
            "/info",
            "/healthz",
            "/readyz",
            "/metrics",
            "/export",
            "/openapi.json",
            "/images/a",
            "/images/a/content",
            "/images/a/thumbnail",
            "/images/none",
            "/nowhere",
            "/images?limit=0",
        )
    ]
    answers += [
        api.client.post("/search", json={}),
        api.client.put("/info"),
        api.client.get("/info", headers={"host": "evil.example"}),
        api.client.get("/info?x=1&x=2"),
        api.client.head("/images/a/content"),
        api.client.request("OPTIONS", "/info"),
    ]

    for answer in answers:
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff", answer.url
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "cache-control" in headers
        assert "default-src" in headers["content-security-policy"]
    assert api.client.get("/info").headers["cache-control"] == "no-store"


def test_pictures_may_be_shown_on_pages_of_origins_that_are_named(settings):
    settings = settings.replace(cors_origins=["https://shop.example"])
    with local_client(create_app(settings, load_first=True)) as client:
        assert client.get("/info").headers["cross-origin-resource-policy"] == "cross-origin"


def test_answers_of_the_outer_layers_have_all_headers_too(settings, monkeypatch):
    async def fail(*_, **__):
        raise RuntimeError("a defect")

    async def cancel(*_, **__):
        # As the server does with requests that it does not wait for any longer.
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    settings = settings.replace(cors_origins=["https://shop.example"], bootstrap_admin_key=KEY)
    page = {"Origin": "https://shop.example", "Authorization": f"Bearer {KEY}"}
    with local_client(create_app(settings, load_first=True), raise_server_exceptions=False) as client:
        collections = client.app.state.services.collections
        monkeypatch.setattr(collections, "page", fail)
        defect = client.get("/collections", headers=page)
        monkeypatch.setattr(collections, "page", cancel)
        stopping = client.get("/collections", headers=page)
        repeated = client.get("/collections?limit=1&limit=2", headers=page)
        without_key = client.get("/collections", headers={"Origin": page["Origin"]})
        head = client.head("/images/missing", headers=page)
        encoded = client.post("/search", headers=page | {"Content-Encoding": "gzip"}, content=b"x")

    assert_problem(defect, 500, "internal_error")
    assert_problem(stopping, 503, "stopping")
    assert [one.status_code for one in (repeated, without_key, head, encoded)] == [400, 401, 404, 415]
    for answer in (defect, stopping, repeated, without_key, head, encoded):
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"]


def test_a_service_whose_storage_is_gone_is_not_ready_and_takes_no_writes(api, settings):
    client, folder = api.client, settings.storage.data_dir
    api.add(draw(1), ids=["a"])
    aside = folder.with_name("aside")
    folder.rename(aside)

    answers = [
        api.add(draw(2), ids=["b"]),
        client.put("/images/c", content=draw(3)),
        client.patch("/images/a", json={"metadata": {"x": 1}}),
        client.delete("/images/a"),
        client.post("/images/delete", json={"ids": ["a"]}),
        client.post("/collections", json={"name": "x"}),
        client.post("/admin/jobs/verify", json={}),
        client.post("/index", json={"urls": ["https://pictures.example/a.png"]}),
    ]
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert answer.json()["code"] in {"database_unavailable", "storage_unavailable"}
        assert int(answer.headers["retry-after"]) > 0
    wait_for(client, 503)
    assert "gone" in client.get("/readyz").json()["detail"]
    assert client.get("/images/a/thumbnail").status_code == 503
    assert client.get("/healthz").status_code == 200
    assert not (folder / "lookalike.db").exists()

    if folder.exists():
        import shutil

        shutil.rmtree(folder)
    aside.rename(folder)
    wait_for(client, 200)
    assert api.add(draw(2), ids=["b"]).status_code == 201
    assert client.get("/images/a/content").content == draw(1)


def wait_for(client, status: int) -> None:
    for _ in range(200):
        if client.get("/readyz").status_code == status:
            return
        client.portal.call(asyncio.sleep, 0.05)
    raise AssertionError(client.get("/readyz").text)
