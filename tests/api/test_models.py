"""Models over HTTP: re-encode, compare, activate, roll back, prune."""

import hashlib
import io
import shutil
import sys
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore
from PIL import Image

from app.api.app import create_app
from app.bootstrap import worker_services
from app.domain.errors import FetchFailed
from app.images.decode import Decoder
from app.images.picture_sources import PictureSources
from app.images.sniff import Limits
from app.jobs.runner import Runner
from app.services.model_life.reencoding import Reencoding
from app.services.pictures.coding import PictureCoder
from app.settings import Settings
from app.store.pictures.coverage import CoverageWriter
from app.worker.handlers import evaluate, make_handlers
from tests.api.conftest import Api, assert_problem, draw, local_client
from tests.fixtures.models import ARTIFACTS, SMALL, write_variant

NEW = "letterboxed-32"


@pytest.fixture
def settings(tmp_path) -> Settings:
    shipped = tmp_path / "shipped"
    shutil.copytree(ARTIFACTS / SMALL, shipped / SMALL)
    write_variant(shipped, NEW)
    return Settings(
        data_dir=tmp_path / "data",
        artifacts_dir=shipped,
        default_model=SMALL,
        decode_children=1,
        activation_timeout_s=6,
    )


@pytest.fixture
def client(settings):
    app = create_app(settings, load_first=True)
    with local_client(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def work(client):
    """Run the oldest job, as a worker does."""
    services = client.app.state.services
    runner = Runner(services.database, make_handlers(worker_services(services)), owner="test")
    return lambda: client.portal.call(runner.run_one)


def reencode(api: Api, work, collection: str = "default", model: str = NEW) -> dict:
    answer = api.client.post("/admin/jobs/reencode", json={"collection": collection, "model": model})
    assert answer.status_code == 202, answer.text
    assert work()
    return api.client.get(answer.headers["location"]).json()


def activate(api: Api, model: str = NEW, **fields):
    return api.client.post(f"/admin/models/{model}/activate", json=fields)


def lose(client, *ids: str) -> None:
    """Delete the files of stored pictures without telling the service."""
    services = client.app.state.services

    async def work() -> None:
        for image_id in ids:
            record = await services.images.get("default", image_id)
            await services.pictures.delete(record.sha256)

    client.portal.call(work)


def wide(seed: int) -> bytes:
    """Return a wide picture, which the two models crop differently."""
    out = io.BytesIO()
    Image.open(io.BytesIO(draw(seed))).crop((0, 0, 96, 40)).save(out, "PNG")
    return out.getvalue()


def test_a_model_is_activated_rolled_back_and_pruned(api, work):
    api.add(*(wide(i) for i in range(8)), ids=list("abcdefgh"))
    before = api.search(wide(3)).json()

    job = reencode(api, work)
    prepared = api.client.get("/collections/default").json()
    api.add(wide(20), ids=["between"])
    switched = activate(api)
    after = api.search(wide(3)).json()
    back = api.client.post("/admin/models/rollback", json={})
    again = api.search(wide(20)).json()
    pruned = api.client.post("/admin/models/prune", json={})

    assert job["status"] == "succeeded"
    assert job["result"] == {
        "model": NEW, "encoded": 8, "failed": 0, "missing": 0, "missing_by_reason": {}
    }  # fmt: skip
    assert (prepared["model"], prepared["next_model"]) == (SMALL, NEW)
    assert switched.json()["model"] == NEW
    assert (switched.json()["previous_model"], switched.json()["missing"]) == (SMALL, 0)
    assert after["query"]["code"] != before["query"]["code"]
    assert (after["index"]["model"], after["items"][0]["id"], after["items"][0]["distance"]) == (NEW, "d", 0)
    assert (back.json()["model"], back.json()["missing"]) == (SMALL, 0)
    assert again["index"]["searched"] == 9
    assert again["items"][0]["id"] == "between"
    assert pruned.json() == {"codes": 9}
    assert_problem(api.client.post("/admin/models/rollback", json={}), 409, "no_previous_model")


async def _die(*_: object) -> int:
    raise OSError("killed")


def test_a_prune_that_was_killed_between_its_steps_is_completed_by_the_next(api, client, work, monkeypatch):
    api.add(*(wide(i) for i in range(3)), ids=list("abc"))
    reencode(api, work)
    with monkeypatch.context() as killed:
        killed.setattr(CoverageWriter, "forget_codes", _die)
        assert api.client.post("/admin/models/prune", json={}).status_code == 500

    assert api.client.post("/admin/models/prune", json={}).json() == {"codes": 3}
    assert api.client.post("/admin/models/prune", json={}).json() == {"codes": 0}
    assert api.search(wide(1)).json()["items"][0]["id"] == "b"


def test_a_switch_is_refused_with_the_list_of_missing_codes(api, client, work):
    api.add(*(wide(i) for i in range(5)), ids=list("abcde"))

    untried = assert_problem(activate(api), 409, "codes_missing")
    lose(client, "b", "c")
    job = reencode(api, work)
    refused = assert_problem(activate(api, accept_missing=1), 409, "codes_missing")
    accepted = activate(api, accept_missing=2)
    answer = api.search(wide(0)).json()

    assert untried["errors"] == [{"pointer": "/accept_missing", "detail": "5 pictures: not_encoded_yet"}]
    assert job["counts"] == {"failed": 2}
    items = api.client.get(job["links"]["failed_items"]).json()["items"]
    assert [(item["id"], item["error"]["code"]) for item in items] == [
        ("b", "picture_gone"),
        ("c", "picture_gone"),
    ]
    assert refused["errors"] == [
        {"pointer": "/accept_missing", "detail": "2 pictures: picture_gone"},
        {"pointer": "/images/b", "detail": "picture_gone"},
        {"pointer": "/images/c", "detail": "picture_gone"},
    ]
    assert accepted.json()["missing_by_reason"] == {"picture_gone": 2}
    assert answer["index"]["coverage"] == {"indexed": 3, "pending": 0, "failed": 2}


def test_a_picture_whose_file_is_restored_is_found_after_another_job(api, client, work):
    api.add(*(wide(i) for i in range(3)), ids=list("abc"))
    lose(client, "b")
    reencode(api, work)
    activate(api, accept_missing=1)
    put_back(api, client, "b", wide(1))

    job = reencode(api, work)
    api.client.get("/collections/default")
    api.add(wide(9), ids=["d"])  # waits until this process has read the feed
    answer = api.search(wide(1)).json()

    assert (job["result"]["encoded"], job["result"]["missing"]) == (1, 0)
    assert (answer["items"][0]["id"], answer["items"][0]["distance"]) == ("b", 0)
    assert answer["index"]["coverage"] == {"indexed": 4, "pending": 0, "failed": 0}


def put_back(api, client, image_id: str, content: bytes) -> None:
    sha256 = api.client.get(f"/images/{image_id}").json()["sha256"]
    client.portal.call(client.app.state.services.pictures.put, sha256, content)


def test_failed_pictures_of_a_job_can_be_retried(api, client, work):
    api.add(*(wide(i) for i in range(3)), ids=list("abc"))
    lose(client, "a", "b")
    job = reencode(api, work)
    put_back(api, client, "a", wide(0))

    api.client.post(f"/jobs/{job['id']}/retry")
    assert work()

    again = api.client.get(f"/jobs/{job['id']}").json()
    assert (again["status"], again["counts"]) == ("succeeded", {"failed": 1, "replaced": 1})


def test_a_picture_replaced_while_two_models_are_kept_has_a_new_code_under_both(api, work):
    api.add(*(wide(i) for i in range(3)), ids=list("abc"))
    reencode(api, work)
    api.client.put("/images/b", content=wide(30))

    activate(api)
    under_new = api.search(wide(30)).json()
    api.client.post("/admin/models/rollback", json={})
    under_old = api.search(wide(30)).json()

    for answer in (under_new, under_old):
        assert (answer["items"][0]["id"], answer["items"][0]["distance"]) == ("b", 0)
        assert answer["index"]["searched"] == 3


def test_filters_and_similar_pictures_follow_the_switch(api, work):
    api.add(*(wide(i) for i in range(4)), ids=list("abcd"), metadata=[{"n": i % 2} for i in range(4)])
    odd = {"must": [{"key": "n", "match": 1}]}
    assert sorted(api.ids(api.search(wide(1), filter=odd))) == ["b", "d"]
    reencode(api, work)
    activate(api)

    assert sorted(api.ids(api.search(wide(1), filter=odd))) == ["b", "d"]
    similar = api.client.get("/images/a/similar").json()
    assert similar["index"]["model"] == NEW


def test_a_cursor_of_the_old_model_is_refused(api, work):
    api.add(*(wide(i) for i in range(4)))
    cursor = api.search(wide(1), limit=1).json()["next_cursor"]
    reencode(api, work)
    activate(api)

    assert_problem(api.client.post("/search", json={"cursor": cursor}), 409, "model_mismatch")


def test_two_models_are_compared_on_stored_pictures(api, work):
    api.add(*(wide(i) for i in range(12)), ids=[f"p{i}" for i in range(12)])
    ask = {"new": NEW, "queries": ["p1", "p2"], "limit": 5}
    assert_problem(api.client.post("/admin/models/compare", json=ask), 409, "codes_missing")
    reencode(api, work)

    compared = api.client.post("/admin/models/compare", json=ask).json()
    same = api.client.post("/admin/models/compare", json=ask | {"new": SMALL}).json()

    assert (compared["old"], compared["new"], compared["old_pictures"], compared["new_pictures"]) == (
        SMALL,
        NEW,
        12,
        12,
    )
    for query in compared["queries"]:
        old = api.client.get(f"/images/{query['id']}/similar", params={"limit": 5}).json()["items"]
        stayed_or_left = {m["id"]: m["old_rank"] for m in query["moved"] if m["old_rank"] is not None}
        ranks = {item["id"]: item["rank"] for item in old if item["id"] != query["id"]}
        assert stayed_or_left.items() <= ranks.items()
        came = sum(m["old_rank"] is None for m in query["moved"])
        assert query["overlap"] == pytest.approx(1 - came / 5)
    assert (same["overlap"], same["queries"][0]["moved"]) == (1.0, [])
    missing = ask | {"queries": ["p1", "nothing"]}
    assert_problem(api.client.post("/admin/models/compare", json=missing), 404, "unknown_image")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/admin/jobs/reencode", {"model": NEW}),
        (f"/admin/models/{NEW}/activate", {}),
        ("/admin/models/rollback", {}),
        ("/admin/models/prune", {}),
        ("/admin/models/compare", {"new": NEW, "queries": ["a"]}),
    ],
)
def test_an_unknown_collection_or_field_is_refused(api, path, body):
    unknown = {"collection": "nothing"}
    assert_problem(api.client.post(path, json=body | unknown), 404, "unknown_collection")
    assert_problem(api.client.post(path, json=body | {"misspelt": 1}), 422, "validation_failed")


def test_an_unknown_model_is_refused(api):
    api.add(wide(1), ids=["a"])
    assert_problem(activate(api, "nothing"), 404, "unknown_model")
    assert_problem(api.client.post("/admin/jobs/reencode", json={"model": "nothing"}), 404, "unknown_model")
    ask = {"new": "nothing", "queries": ["a"]}
    assert_problem(api.client.post("/admin/models/compare", json=ask), 404, "unknown_model")


def test_a_collection_is_reencoded_once_at_a_time(api):
    assert api.client.post("/admin/jobs/reencode", json={"model": NEW}).status_code == 202
    assert_problem(api.client.post("/admin/jobs/reencode", json={"model": NEW}), 409, "job_exists")


def test_re_encoding_a_collection_of_references_is_refused(api):
    made = api.client.post("/collections", json={"name": "refs", "keeps": "references"}).json()
    answer = api.client.post("/admin/jobs/reencode", json={"collection": "refs", "model": NEW})

    assert made["can_be_reencoded"] is False
    assert api.client.get("/collections/default").json()["can_be_reencoded"] is True
    assert_problem(answer, 409, "not_reencodable")


@pytest.fixture
def referenced(tmp_path) -> Path:
    """A folder of pictures that jobs may read."""
    root = tmp_path / "referenced"
    root.mkdir()
    for i in range(5):
        (root / f"{i}.png").write_bytes(wide(i))
    return root


def test_readable_references_are_reencoded_and_the_others_listed_by_reason(settings, referenced, tmp_path):
    settings = settings.replace(import_root=referenced, fetch_hosts=["127.0.0.1"])
    (tmp_path / "outside.png").write_bytes(wide(5))
    uris = {
        "plain": "0.png",
        "file": f"file://{referenced}/1.png",
        "gone": "2.png",
        "another": "3.png",
        "outside": f"file://{tmp_path}/outside.png",
        "private": "http://127.0.0.1/6.png",
        "nowhere": None,
    }
    app = create_app(settings, load_first=True)
    with local_client(app) as client:
        made = client.post("/collections", json={"name": "refs", "keeps": "references"}).json()
        contents = [wide(i) for i in range(len(uris))]
        added = Api(client).add(*contents, ids=list(uris), uris=list(uris.values()), collection="refs")
        assert added.json()["counts"] == {"created": len(uris)}
        (referenced / "2.png").unlink()
        (referenced / "3.png").write_bytes(wide(99))

        runner = Runner(
            app.state.services.database, make_handlers(worker_services(app.state.services)), owner="test"
        )
        job = reencode(Api(client), lambda: client.portal.call(runner.run_one), "refs")
        items = client.get(job["links"]["failed_items"]).json()["items"]
        (referenced / "2.png").write_bytes(wide(2))
        client.post(f"/jobs/{job['id']}/retry")
        client.portal.call(runner.run_one)
        switched = activate(Api(client), collection="refs", accept_missing=4).json()
        answer = client.post("/search", files={"file": wide(2)}, data={"collection": "refs"}).json()

    assert made["can_be_reencoded"] is True
    assert {item["id"]: item["error"]["code"] for item in items} == {
        "gone": "fetch_failed",
        "another": "picture_damaged",
        "outside": "url_not_allowed",
        "private": "url_not_allowed",
        "nowhere": "picture_gone",
    }
    assert (job["result"]["encoded"], switched["missing"]) == (2, 4)
    assert (answer["items"][0]["id"], answer["items"][0]["distance"]) == ("gone", 0)
    assert {item["id"] for item in answer["items"]} == {"plain", "file", "gone"}


def test_references_are_read_from_object_stores_and_by_url_too(client, api):
    bucket = MemoryStore()
    obstore.put(bucket, "open/a.png", wide(1))
    services = client.app.state.services
    places = PictureSources(
        None,
        ["s3://bucket/open"],
        _FetcherOf({"https://pictures.example/b.png": wide(2)}),
        open_store=lambda _: bucket,
    )
    uris = ["s3://bucket/open/a.png", "https://pictures.example/b.png", "https://pictures.example/c.png"]
    client.post("/collections", json={"name": "refs", "keeps": "references"})
    api.add(wide(1), wide(2), wide(3), ids=list("abc"), uris=uris, collection="refs")

    async def encode():
        coder = PictureCoder(Decoder(Limits(), children=1, timeout_s=10), decode_threads=1)
        reencoding = Reencoding(
            services.database, services.pictures, services.models, coder, places, max_bytes=100_000
        )
        records = [await services.images.get("refs", image_id) for image_id in "abc"]
        try:
            return await reencoding.encode(records, NEW)
        finally:
            coder.close()

    encoded = client.portal.call(encode)

    assert [image.image_id for image, _ in encoded.codes] == ["a", "b"]
    assert [(one.image.image_id, one.error.code) for one in encoded.failed] == [("c", "fetch_failed")]


class _FetcherOf:
    """A fake that returns a file for each URL; test_fetch.py tests what fetching checks."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self._contents = contents

    async def fetch(self, url: str, max_bytes: int) -> bytes:
        if url not in self._contents or len(self._contents[url]) > max_bytes:
            raise FetchFailed
        return self._contents[url]


def test_a_damaged_model_is_refused_by_name_and_the_old_one_stays_active(api, settings, work):
    api.add(wide(1), ids=["a"])
    (settings.models.artifacts_dir / NEW / "encoder.onnx").write_bytes(b"damaged after the start")

    refused = assert_problem(activate(api, accept_missing=9), 409, "model_not_ready")

    assert NEW in refused["detail"]
    assert api.search(wide(1)).json()["index"]["model"] == SMALL
    job = reencode(api, work)
    assert (job["status"], job["error"]["code"]) == ("failed", "artifact_refused")


def test_activating_the_active_model_changes_nothing(api):
    api.add(wide(1), ids=["a"])

    answer = activate(api, SMALL)

    assert (answer.status_code, answer.json()["model"], answer.json()["previous_model"]) == (200, SMALL, None)


def test_a_process_that_is_not_ready_in_time_is_named_and_a_retry_may_succeed(api, client, work):
    api.add(wide(1), ids=["a"])
    reencode(api, work)
    services = client.app.state.services

    async def come(process_id: str) -> None:
        async with services.database.write() as unit:
            await unit.processes.register(process_id, kind="api", host="x", pid=1, reached_change=1)

    async def go(process_id: str) -> None:
        async with services.database.write() as unit:
            await unit.processes.remove(process_id)

    client.portal.call(come, "api-slow")
    pending = activate(api)
    client.portal.call(go, "api-slow")

    body = assert_problem(pending, 503, "activation_pending")
    assert "api-slow" in body["detail"]
    assert pending.headers["retry-after"] == "5"
    assert api.search(wide(1)).json()["index"]["model"] == SMALL
    assert activate(api).json()["model"] == NEW


def test_retrieval_is_measured_by_a_collections_own_labels(api, work):
    kinds = [("red", i) for i in range(12)] + [("blue", i) for i in range(12)]
    contents = [plain(kind, i) for kind, i in kinds]
    api.add(*contents, ids=[f"{k}{i}" for k, i in kinds], metadata=[{"colour": k} for k, _ in kinds])
    api.add(wide(1), ids=["without"])

    answer = api.client.post("/admin/jobs/evaluate", json={"label": "colour"})
    assert work()
    job = api.client.get(answer.headers["location"]).json()

    assert job["status"] == "succeeded", job
    result = job["result"]
    assert (result["model"], result["unlabelled"], result["without_code"]) == (SMALL, 1, 0)
    # 12 of each kind: two queries, ten to be found; plain colours are told apart without a slip.
    protocol = result["protocol"]
    assert (protocol["gallery"], protocol["queries"], protocol["kinds"]) == (20, 4, 2)
    assert (protocol["training_seed"], protocol["split_seed"]) == (0, "nothing is drawn")
    # By name, every tenth of a kind from the first.
    by_id = {f"{k}{i}": content for (k, i), content in zip(kinds, contents, strict=True)}
    asked = ("blue0", "blue8", "red0", "red8")
    named = "".join(f"{image_id} {hashlib.sha256(by_id[image_id]).hexdigest()}\n" for image_id in asked)
    assert protocol["queries_sha256"] == hashlib.sha256(named.encode()).hexdigest()
    assert protocol["queries_in_gallery"] == 0
    assert result["figures"]["precision_at_10"] == 1.0


def test_an_evaluation_that_starts_over_counts_each_picture_once(api, work, monkeypatch):
    kinds = [("red", i) for i in range(12)] + [("blue", i) for i in range(12)]
    api.add(*(plain(k, i) for k, i in kinds), metadata=[{"colour": k} for k, _ in kinds])
    answer = api.client.post("/admin/jobs/evaluate", json={"label": "colour"})
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "_measure", lambda _: 1 / 0)
        assert work()
    job = answer.headers["location"]
    failed = api.client.get(job).json()

    api.client.post(f"{job}/retry")
    assert work()
    done = api.client.get(job).json()

    assert (failed["status"], done["status"]) == ("failed", "succeeded")
    assert failed["progress"]["done"] == done["progress"]["done"] == done["progress"]["total"] == 24


def plain(kind: str, seed: int) -> bytes:
    out = io.BytesIO()
    colour = (230, 20 + seed, 20) if kind == "red" else (20, 20 + seed, 230)
    Image.new("RGB", (64, 64), colour).save(out, "PNG")
    return out.getvalue()


def test_an_evaluation_without_labels_fails_with_the_reason(api, work):
    api.add(wide(1))
    answer = api.client.post("/admin/jobs/evaluate", json={"label": "colour"})
    assert work()

    job = api.client.get(answer.headers["location"]).json()
    assert (job["status"], job["error"]["code"]) == ("failed", "validation_failed")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"name": SMALL}, 409, "model_exists"),
        ({"name": "no/name"}, 422, "validation_failed"),
        ({"bits": 7}, 422, "validation_failed"),
        ({"collection": "default", "folder": "x"}, 422, "validation_failed"),
        ({"folder": "x"}, 422, "url_not_allowed"),
        ({"collection": "nothing"}, 404, "unknown_collection"),
        ({"collection": "refs"}, 409, "not_reencodable"),
        ({"misspelt": 1}, 422, "validation_failed"),
    ],
)
def test_an_impossible_training_is_refused_at_once(api, changes, status, code):
    api.client.post("/collections", json={"name": "refs", "keeps": "references"})

    assert_problem(api.client.post("/admin/jobs/train", json={"name": "mine"} | changes), status, code)


def test_if_no_worker_can_train_the_answer_names_the_command(api, monkeypatch):
    """The workers' packages count, not those of this process."""
    monkeypatch.setitem(sys.modules, "torch", None)  # what an environment without it looks like
    services = api.client.app.state.services

    async def register(name: str, lacks: str | None) -> None:
        async with services.database.write() as unit:
            await unit.processes.register(name, kind="worker", host="here", pid=1, training_lacks=lacks)

    def ask(name: str):
        return api.client.post("/admin/jobs/train", json={"name": name})

    waits_for_a_worker = ask("one")
    api.client.portal.call(register, "without", "torch, onnx")
    body = assert_problem(ask("two"), 409, "training_not_installed")
    api.client.portal.call(register, "with", "")
    accepted = ask("three")

    assert [answer.status_code for answer in (waits_for_a_worker, accepted)] == [202, 202]
    assert "torch, onnx" in body["detail"]
    assert "make train-deps" in body["detail"]


@pytest.mark.slow
@pytest.mark.torch
def test_a_model_trained_on_a_collection_is_registered_with_its_figures_and_can_be_activated(api, work):
    api.add(*(wide(i) for i in range(24)), ids=[f"p{i:02}" for i in range(24)])
    ask = {"name": "mine", "method": "autoencoder", "bits": 16, "epochs": 2}

    answer = api.client.post("/admin/jobs/train", json=ask)
    assert work()
    job = api.client.get(answer.headers["location"]).json()
    report = api.client.get("/models/mine/report").json()
    reencode(api, work, model="mine")
    switched = activate(api, "mine")

    assert job["status"] == "succeeded", job
    assert [epoch["epoch"] for epoch in job["result"]["epochs"]] == [1, 2]
    assert {"loss", "balance", "distinct", "held_out_map"} <= job["result"]["epochs"][0].keys()
    assert (job["progress"]["done"], job["progress"]["total"]) == (2, 2)
    assert (report["origin"], report["bits"]) == ("trained", 16)
    assert "edited copy" in report["document"]["metrics"][0]["protocol"]["split"]
    assert switched.json()["model"] == "mine"
    compared = report["document"]["calibration"]["comparison"]
    assert compared["against"] == SMALL
    assert compared["copies"]["verdict"] in {"better", "worse", "no clear difference"}
    assert job["result"]["comparison"] == compared
    found = {item["id"]: item["distance"] for item in api.search(wide(3)).json()["items"]}
    assert found["p03"] == 0


@pytest.mark.slow
@pytest.mark.torch
def test_a_model_is_trained_on_the_references_that_can_be_read(settings, tmp_path):
    root = tmp_path / "referenced"
    root.mkdir()
    contents = [wide(i) for i in range(24)]
    for i in range(22):
        (root / f"{i}.png").write_bytes(contents[i])
    app = create_app(settings.replace(import_root=root), load_first=True)
    ask = {"name": "mine", "collection": "refs", "method": "autoencoder", "bits": 16, "epochs": 1}
    with local_client(app) as client:
        client.post("/collections", json={"name": "refs", "keeps": "references"})
        Api(client).add(
            *contents, ids=[f"p{i}" for i in range(24)], uris=[f"{i}.png" for i in range(24)], collection="refs"
        )
        runner = Runner(
            app.state.services.database, make_handlers(worker_services(app.state.services)), owner="test"
        )

        def train(name: str) -> dict:
            answer = client.post("/admin/jobs/train", json=ask | {"name": name})
            client.portal.call(runner.run_one)
            return client.get(answer.headers["location"]).json()

        done = train("mine")
        report = client.get("/models/mine/report").json()
        for i in range(5):
            (root / f"{i}.png").unlink()
        failed = train("second")

    assert done["status"] == "succeeded", done
    assert done["result"]["skipped"] == {"fetch_failed": 2}
    assert report["document"]["training"]["data"][0]["pictures"] == 22
    assert (failed["status"], failed["error"]["code"]) == ("failed", "validation_failed")
    assert "17 can be read, others not (7 fetch_failed)" in failed["error"]["detail"]
    assert "lookalike train FOLDER" in failed["error"]["detail"]


@pytest.mark.slow
@pytest.mark.torch
def test_a_model_is_trained_with_partial_labels(api, work, monkeypatch):
    from tests.fixtures.shallow_encoder import use_shallow_encoder

    use_shallow_encoder(monkeypatch)
    ids = [f"p{i:02}" for i in range(30)]
    metadata = [{"colour": ("red", "blue")[i % 2]} if i < 12 else {} for i in range(30)]
    api.add(*(plain(("red", "blue")[i % 2], i) for i in range(30)), ids=ids, metadata=metadata)
    ask = {"name": "some", "method": "semi_supervised", "label": "colour", "bits": 16, "epochs": 2}

    answer = api.client.post("/admin/jobs/train", json={**ask, "encoder": "efficientnet_lite0"})
    assert work()

    job = api.client.get(answer.headers["location"]).json()
    assert job["status"] == "succeeded", job
    document = api.client.get("/models/some/report").json()["document"]
    protocol = document["metrics"][0]["protocol"]
    assert (protocol["gallery"], protocol["queries"]) == (10, 2)
    assert "without a label are learned from" in protocol["split"]
    assert [(data["part"], data["pictures"]) for data in document["training"]["data"]] == [
        ("gallery", 10),
        ("unlabelled", 18),
    ]


@pytest.mark.torch
def test_an_invalid_training_fails_with_its_reason(api, work):
    api.add(*(wide(i) for i in range(24)))
    for ask, reason in (
        ({"method": "nothing"}, "no hash method is called nothing"),
        ({"method": "itq", "epochs": 3}, "itq has no epochs"),
        ({"method": "supervised"}, "needs labels of all pictures"),
        ({"method": "semi_supervised"}, "needs labels of some pictures"),
        ({"method": "autoencoder", "collection": "empty"}, "at least 20 pictures"),
    ):
        api.client.post("/collections", json={"name": "empty"})
        answer = api.client.post("/admin/jobs/train", json={"name": "mine"} | ask)
        assert work()
        job = api.client.get(answer.headers["location"]).json()
        assert (job["status"], job["error"]["code"]) == ("failed", "validation_failed")
        assert reason in job["error"]["detail"]
