"""Backups of the whole service, restoring, verification, export."""

import hashlib
import io
import json
import os
import shutil
import threading
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.api.app import create_app
from app.bootstrap import worker_services
from app.domain.codes import code_from_hex, hamming
from app.domain.perceptual import PERCEPTUAL_DIGEST, PERCEPTUAL_MODEL
from app.jobs.runner import Runner
from app.services.operations.backups import Backups
from app.services.operations.sweeping import Sweeper
from app.settings import Settings
from app.worker.handlers import make_handlers
from tests.api.conftest import assert_problem, local_client
from tests.fixtures.models import ARTIFACTS, SMALL

RESTORES = 20 if os.environ.get("LOOKALIKE_SOAK") else 3


@pytest.fixture
def settings(tmp_path) -> Settings:
    shutil.copytree(ARTIFACTS / SMALL, tmp_path / "shipped" / SMALL)
    return Settings(
        data_dir=tmp_path / "data",
        artifacts_dir=tmp_path / "shipped",
        default_model=SMALL,
        decode_children=1,
        orphan_grace_s=0.001,
        # What a test needs of the feed, it waits for.
        poll_interval_s=60,
    )


@pytest.fixture
def client(settings):
    app = create_app(settings, load_first=True)
    with local_client(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def runner(client) -> Runner:
    services = client.app.state.services
    return Runner(services.database, make_handlers(worker_services(services)), owner="test")


@pytest.fixture
def do(client, runner):
    """Starts a job and does it as a worker would; returns the job."""

    def run(path: str, **fields) -> dict:
        answer = client.post(path, json=fields)
        assert answer.status_code == 202, answer.text
        assert client.portal.call(runner.run_one)
        return client.get(answer.headers["location"]).json()

    return run


def picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    out = io.BytesIO()
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    small.resize((64, 48), Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()


def exported(client) -> list[dict]:
    answer = client.get("/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def top(client, seed: int) -> list[tuple[str, int]]:
    body = client.post("/search", files={"file": picture(seed)}, data={"limit": "10"}).json()
    return [(item["id"], item["distance"]) for item in body["items"]]


def count(client) -> int:
    return client.get("/info").json()["images"]


def settle(client) -> None:
    """Wait until this process has read the feed."""
    services = client.app.state.services

    async def catch_up() -> None:
        async with services.database.read() as unit:
            latest = await unit.feed.latest()
        await services.index_sync.follower.catch_up(latest)

    client.portal.call(catch_up)


def sweep(client) -> int:
    services = client.app.state.services
    sweeper = Sweeper(services.database, services.pictures, grace_s=services.settings.storage.orphan_grace_s)
    return client.portal.call(sweeper.sweep)


def test_everything_comes_back_as_it_was(api, client, do):
    strange = {"$bytes": "bm90IGJ5dGVz", "deep": {"$time": "2020-01-01"}}
    api.add(*(picture(i) for i in range(8)), ids=list("abcdefgh"), metadata=[{"n": i} for i in range(8)])
    client.patch("/images/a", json={"metadata": strange})
    client.post("/collections", json={"name": "other", "description": "kept"})
    before, answers = exported(client), [top(client, i) for i in range(4)]

    taken = do("/admin/jobs/backup")
    client.delete("/images/b")
    client.put("/images/c", content=picture(99))
    client.delete("/collections/other")
    api.add(picture(50), ids=["late"])
    listed = client.get("/admin/backups").json()["items"]
    restored = do("/admin/restore", backup=taken["id"])
    settle(client)

    assert taken["status"] == restored["status"] == "succeeded", (taken, restored)
    assert [(one["id"], one["pictures"], one["missing_files"]) for one in listed] == [(taken["id"], 8, 0)]
    assert exported(client) == before
    assert [top(client, i) for i in range(4)] == answers
    assert client.get("/images/a").json()["metadata"] == strange
    assert client.get("/collections/other").json()["description"] == "kept"
    filtered = json.dumps({"must": [{"key": "n", "match": 3}]})
    assert api.ids(api.search(picture(0), filter=filtered)) == ["d"]
    # Numbers given out since are never given out again.
    assert api.add(picture(51), ids=["after"]).json()["index_version"] > restored["result"]["index_version"]
    assert top(client, 51)[0] == ("after", 0)


def test_hashes_that_an_old_backup_lacks_are_computed_after_its_restore(api, client, do, runner):
    api.add(picture(1), picture(2), picture(1), ids=["a", "b", "a-again"])

    async def forget_hashes() -> None:
        async with client.app.state.services.database.write() as unit:
            record = await unit.collections.get("default")
            await unit.coverage.forget_codes(record.pk, PERCEPTUAL_MODEL, 100)

    client.portal.call(forget_hashes)
    do("/admin/restore", backup=do("/admin/jobs/backup")["id"])
    settle(client)
    before = client.get("/duplicates").json()
    assert client.portal.call(runner.run_one)
    settle(client)

    assert client.get("/jobs").json()["items"][0]["type"] == "hash"
    assert (before["rule"] is not None, before["pending"]) == (True, 3)
    assert client.get("/duplicates").json()["pending"] == 0


def test_metrics_tell_only_of_collections_that_a_restore_has_left(api, client, do):
    api.add(picture(0), picture(1), ids=["a", "b"])
    taken = do("/admin/jobs/backup")
    client.post("/collections", json={"name": "late"})
    api.add(picture(2), ids=["c"])
    before = client.get("/metrics").text

    do("/admin/restore", backup=taken["id"])
    settle(client)

    after = client.get("/metrics").text
    for metric in ("lookalike_index_codes", "lookalike_index_bytes"):
        assert f'{metric}{{collection="late"}}' in before
        assert f'{metric}{{collection="late"}}' not in after
    assert 'lookalike_index_codes{collection="default"} 2.0' in after


def test_right_after_a_restore_nothing_is_answered_from_before(api, client, do):
    api.add(*(picture(i) for i in range(6)), ids=list("abcdef"), metadata=[{"n": 1}] * 6)
    taken = do("/admin/jobs/backup")
    looks = {
        "top": lambda: top(client, 2),
        "filtered": lambda: api.ids(api.search(picture(2), filter='{"must": [{"key": "n", "match": 1}]}')),
        "similar": lambda: [i["id"] for i in client.get("/images/c/similar").json()["items"]],
        "batch": lambda: [
            i["id"]
            for i in client.post("/search/batch", json={"queries": [{"image_id": "c"}]}).json()["items"][0][
                "items"
            ]
        ],
        "duplicates": lambda: client.get("/duplicates", params={"max_distance": 32}).json()["items"],
    }
    found = {name: look() for name, look in looks.items()}

    for name, look in looks.items():
        for image_id in "abdef":
            client.delete(f"/images/{image_id}")
        client.put("/images/c", content=picture(77))
        api.add(picture(50), picture(51), ids=["y", "z"])
        assert look() != found[name]
        do("/admin/restore", backup=taken["id"])
        assert look() == found[name], name


@pytest.mark.slow
def test_a_backup_taken_during_writes_is_of_one_moment(api, client, do):
    api.add(*(picture(i) for i in range(20)), ids=[f"p{i}" for i in range(20)])
    written = 20
    for _ in range(RESTORES):
        over = threading.Event()
        writer = threading.Thread(target=write, args=(client, over, written))
        writer.start()
        taken = do("/admin/jobs/backup")
        over.set()
        writer.join()
        written += 1_000
        do("/admin/restore", backup=taken["id"])
        settle(client)

        lines = exported(client)
        assert len(lines) == count(client) == taken["result"]["pictures"]
        codes = np.stack([code_from_hex(line["code"], 32) for line in lines])
        for seed in range(20):
            body = client.post("/search", files={"file": picture(seed)}, data={"limit": "10"}).json()
            distances = hamming(codes, code_from_hex(body["query"]["code"], 32))
            nearest = np.argsort(distances, kind="stable")[:10]
            assert [item["id"] for item in body["items"]] == [lines[i]["id"] for i in nearest]


def write(client, over: threading.Event, first: int) -> None:
    number = first
    while not over.is_set():
        client.put(f"/images/w{number}", content=picture(number))
        if number % 3 == 0:
            client.delete(f"/images/w{number - 1}")
        number += 1


def test_what_a_backup_needs_is_not_swept_until_it_is_deleted(api, client, do):
    api.add(picture(1), picture(2), ids=["a", "b"])
    taken = do("/admin/jobs/backup")
    client.delete("/images/a")

    kept = sweep(client)
    do("/admin/restore", backup=taken["id"])
    settle(client)
    content = client.get("/images/a/content").content
    client.delete("/images/a")
    gone = client.delete(f"/admin/backups/{taken['id']}")
    swept = sweep(client)

    assert (kept, content, gone.status_code, swept) == (0, picture(1), 204, 1)
    assert client.get("/admin/backups").json()["items"] == []
    assert_problem(client.delete(f"/admin/backups/{taken['id']}"), 404, "unknown_backup")


def test_copied_pictures_come_back_to_an_empty_store(api, client, do, settings):
    api.add(picture(1), picture(2), ids=["a", "b"])
    taken = do("/admin/jobs/backup", copy_pictures=True)
    shutil.rmtree(settings.storage.data_dir / "store" / "pictures")

    do("/admin/restore", backup=taken["id"])
    settle(client)

    assert client.get("/images/b/content").content == picture(2)


def test_copied_files_of_models_come_back_unless_they_were_altered(api, client, do, settings):
    api.add(picture(1), ids=["a"])
    store = settings.storage.data_dir / "store"
    digests = {hashlib.sha256(content).hexdigest(): content for content in (b"an encoder", b"a hash layer")}
    files = {store / "models" / digest[:2] / digest: content for digest, content in digests.items()}
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    taken = do("/admin/jobs/backup", copy_pictures=True)
    whole, altered = files
    (store / "backups" / taken["id"] / altered.relative_to(store)).write_bytes(b"altered")
    shutil.rmtree(store / "models")

    do("/admin/restore", backup=taken["id"])

    assert whole.read_bytes() == files[whole]
    assert not altered.exists()


def test_a_backup_that_starts_over_counts_each_picture_once(api, client, do, monkeypatch):
    api.add(picture(1), picture(2), ids=["a", "b"])

    async def failing(self, manifest, sha256s, progress):
        await progress("copying pictures", 0)
        raise RuntimeError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Backups, "_keep_pictures", failing)
        failed = do("/admin/jobs/backup", copy_pictures=True)
    do(f"/jobs/{failed['id']}/retry")
    taken = client.get(f"/jobs/{failed['id']}").json()

    assert (failed["status"], taken["status"]) == ("failed", "succeeded")
    assert failed["progress"]["done"] == taken["progress"]["done"] == 2


def test_what_a_cancelled_backup_has_left_is_swept_and_whole_ones_stay(api, client, do, settings):
    api.add(picture(1), ids=["a"])
    whole, unknown = (do("/admin/jobs/backup")["id"] for _ in range(2))
    cancelled, running = (client.post("/admin/jobs/backup", json={}).json()["id"] for _ in range(2))
    client.post(f"/jobs/{cancelled}/cancel")
    backups, spool = settings.storage.data_dir / "store" / "backups", settings.storage.data_dir / "spool"
    for name in (cancelled, running, "unfinished"):  # as workers that were killed leave it
        shutil.copytree(backups / whole, backups / name)
        shutil.copytree(backups / whole, spool / name)
    (backups / "unfinished" / "manifest.json").unlink()
    services = client.app.state.services

    async def sweep_unfinished(kept: timedelta) -> int:
        await services.backups.sweep_spool(kept=kept)
        return await services.backups.sweep(kept=kept)

    async def lose_the_job() -> None:
        async with services.database.write() as unit:
            await unit.backups.delete(unknown)
            await unit.jobs.prune(unit.now)  # whole's too, which is known as a backup

    assert client.portal.call(sweep_unfinished, timedelta(days=1)) == 0
    assert client.portal.call(sweep_unfinished, timedelta(seconds=-1)) == 2
    assert folders(backups) == sorted([whole, unknown, running])
    assert folders(spool) == [running]
    client.portal.call(lose_the_job)
    assert client.portal.call(sweep_unfinished, timedelta(seconds=-1)) == 0
    assert folders(backups) == sorted([whole, unknown, running])


def folders(below: Path) -> list[str]:
    """Names of the folders with a file in them."""
    return sorted(path.name for path in below.iterdir() if any(path.iterdir()))


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_damaged_backup_is_refused_and_everything_stays(api, client, do, settings, damage):
    api.add(picture(1), ids=["a"])
    taken = do("/admin/jobs/backup")
    api.add(picture(2), ids=["b"])
    path = settings.storage.data_dir / "store" / "backups" / taken["id"] / "codes-00000.ndjson.gz"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])

    job = do("/admin/restore", backup=taken["id"])

    assert (job["status"], job["error"]["code"]) == ("failed", "backup_refused")
    assert count(client) == 2


def test_an_unknown_backup_cannot_be_restored(client):
    assert_problem(client.post("/admin/restore", json={"backup": "NOTHING"}), 404, "unknown_backup")
    assert_problem(client.post("/admin/restore", json={"backup": "../x"}), 422, "validation_failed")


def test_a_collection_is_exported_line_by_line(api, client):
    api.add(picture(1), picture(2), ids=["b", "a"], metadata=[{"x": 1}, {}])

    lines = exported(client)

    assert [(line["id"], line["metadata"]) for line in lines] == [("b", {"x": 1}), ("a", {})]
    assert lines[0]["code"] == client.post("/search", files={"file": picture(1)}).json()["query"]["code"]
    assert_problem(client.get("/export", params={"collection": "nothing"}), 404, "unknown_collection")


def test_what_does_not_agree_is_found_and_repaired(api, client, do, settings):
    api.add(*(picture(i) for i in range(5)), ids=list("abcde"))
    services = client.app.state.services

    async def harm() -> None:
        records = {name: await services.images.get("default", name) for name in "abcde"}
        await services.pictures.delete(records["a"].sha256)
        live = services.index_sync.catalogue.collection("default")
        async with services.database.write() as unit:
            await unit.coverage.delete_codes(live.record.pk, SMALL, [records["b"].number])
        path = next((settings.storage.data_dir / "store" / "pictures").rglob(records["c"].sha256))
        path.write_bytes(b"something else")

    client.portal.call(harm)

    shallow = do("/admin/jobs/verify")
    found = do("/admin/jobs/verify", repair=True, deep=True)
    again = do("/admin/jobs/verify", deep=True)

    assert {k: v for k, v in shallow["result"]["findings"].items() if v} == {
        "file_missing": 1,
        "code_missing": 1,
    }
    items = client.get(found["links"]["failed_items"]).json()["items"]
    assert {(item["id"], item["error"]["code"]) for item in items} == {
        ("a", "file_missing"),
        ("b", "code_missing"),
        ("c", "file_damaged"),
    }
    assert (found["result"]["pictures"], found["result"]["repaired"]) == (5, 1)
    assert again["result"]["findings"]["code_missing"] == 0
    settle(client)
    assert top(client, 1)[0] == ("b", 0)


def test_a_damaged_index_file_is_found_and_written_anew(settings):
    with local_client(create_app(settings, load_first=True)) as client:
        client.put("/images/a", content=picture(1))
    snapshots = (settings.storage.data_dir / "snapshots").glob("*.index")
    [path] = [path for path in snapshots if PERCEPTUAL_DIGEST not in path.name]
    with local_client(create_app(settings, load_first=True)) as client:
        services = client.app.state.services
        runner = Runner(services.database, make_handlers(worker_services(services)), owner="test")
        path.write_bytes(path.read_bytes()[:-1])

        def verify(**fields) -> dict:
            answer = client.post("/admin/jobs/verify", json=fields)
            assert client.portal.call(runner.run_one)
            return client.get(answer.headers["location"]).json()

        found, repaired, again = verify(), verify(repair=True), verify()
        [item] = client.get(found["links"]["failed_items"]).json()["items"]

    assert (item["name"], item["error"]["code"]) == (path.name, "index_file_damaged")
    told = [job["result"]["findings"]["index_file_damaged"] for job in (found, repaired, again)]
    assert (told, [job["result"]["repaired"] for job in (found, repaired)]) == ([1, 1, 0], [0, 1])


@pytest.mark.parametrize("damage", [b"null", b"[]", b"{}", b'{"files": null}', b"\xff"])
def test_restoring_a_backup_with_a_damaged_manifest_is_refused(client, settings, damage):
    folder = settings.storage.data_dir / "store" / "backups" / "01DAMAGED"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(damage)

    answer = client.post("/admin/restore", json={"backup": "01DAMAGED"})

    assert (answer.status_code, answer.json()["code"]) == (409, "backup_refused")
