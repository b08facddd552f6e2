"""The model of a live collection changes under constant traffic; nobody notices but by better answers."""

import asyncio
import io
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

from app.bootstrap import bootstrap
from app.domain.codes import code_to_hex, hamming
from app.encoding.artifact import load_artifact
from app.encoding.encoder import OnnxEncoder
from app.settings import Settings
from tests.fixtures.models import ARTIFACTS, SMALL, write_variant
from tests.process.gallery import Labelled, labelled_pictures
from tests.process.oracle import Oracle
from tests.process.test_real_pictures import add_all
from tests.process.test_worker import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SOAK = bool(os.environ.get("LOOKALIKE_SOAK"))
N_GALLERY = 3_000 if SOAK else 240
SWITCHES = 40 if SOAK else 4
KILLS = 50 if SOAK else 5
SEARCHERS = 4
K = 10


class OracleOf(Oracle):
    """Encodes with an artifact from any folder."""

    def __init__(self, folder: Path) -> None:
        self.encoder = OnnxEncoder(load_artifact(folder), threads=1)


@pytest.fixture(scope="module")
def pictures():
    gallery, queries = labelled_pictures(N_GALLERY + 20 + 5 * SWITCHES, 12)
    return [wide(p) for p in gallery], [wide(p) for p in queries]


def wide(picture: Labelled) -> Labelled:
    """The middle of a picture, twice as wide as high: the two models differ in how they see such a one."""
    whole = Image.open(io.BytesIO(picture.content)).convert("RGB")
    height = whole.width // 2
    top = max(0, (whole.height - height) // 2)
    out = io.BytesIO()
    whole.crop((0, top, whole.width, top + height)).save(out, "JPEG", quality=90)
    return replace(picture, content=out.getvalue())


@pytest.fixture
def service(tmp_path, start):
    """A service on SQLite."""
    yield from service_on(f"sqlite:///{tmp_path / 'shared.db'}", tmp_path, start)


@pytest.fixture
def postgres_service(postgres_url, tmp_path, start):
    """The same on a real Postgres."""
    yield from service_on(postgres_url, tmp_path, start)


def service_on(database_url, tmp_path, start):
    """Servers and workers that share a database and a picture store, each with a folder of its own.

    The second model is published by another process: none of them has a folder that holds it.
    """
    shipped = tmp_path / "shipped"
    shutil.copytree(ARTIFACTS / SMALL, shipped / SMALL)
    shared = {
        "LOOKALIKE_DATABASE_URL": database_url,
        "LOOKALIKE_PICTURES_URL": (tmp_path / "store").as_uri(),
        "LOOKALIKE_ARTIFACTS_DIR": str(shipped),
        "LOOKALIKE_DEFAULT_MODEL": SMALL,
        "LOOKALIKE_DECODE_CHILDREN": "1",
        "LOOKALIKE_JOB_LEASE_S": "2",
    }
    first = start(data_dir=tmp_path / "one", env=shared)
    variant = write_variant(tmp_path / "trained")
    asyncio.run(publish(variant, tmp_path, shared))
    service = Service(first, variant, start, tmp_path, shared)
    yield service
    for worker in service.workers:
        worker.kill()
        worker.wait()


async def publish(artifact, folder: Path, shared: dict[str, str]) -> None:
    settings = Settings(
        data_dir=folder / "trainer",
        database_url=shared["LOOKALIKE_DATABASE_URL"],
        pictures_url=shared["LOOKALIKE_PICTURES_URL"],
        artifacts_dir=shared["LOOKALIKE_ARTIFACTS_DIR"],
        default_model=SMALL,
        decode_children=1,
        _env_file=None,
    )
    async with bootstrap(settings) as services:
        await services.models.publish(artifact)


@dataclass
class Service:
    first: object
    variant: object
    start: object
    folder: Path
    env: dict
    workers: list = field(default_factory=list)

    def oracles(self) -> dict[str, Oracle]:
        return {SMALL: OracleOf(ARTIFACTS / SMALL), self.variant.name: OracleOf(self.variant.folder)}

    def server(self, which: str):
        return self.start(data_dir=self.folder / which, env=self.env)

    def worker(self) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli.main", "worker"],
            env={**os.environ, **self.env, "LOOKALIKE_DATA_DIR": str(self.folder / "worker")},
            cwd=ARTIFACTS.parent,
            stderr=subprocess.DEVNULL,
        )
        self.workers.append(process)
        return process


def job_of(http, answer) -> dict:
    assert answer.status_code == 202, answer.text
    job = {}

    def is_over():
        job.update(http.get(answer.headers["location"]).json())
        return job["status"] in {"succeeded", "failed", "cancelled"}

    wait_for(is_over, within_s=240)
    assert job["status"] == "succeeded", job
    return job


def activate(http, model: str, **fields) -> dict:
    answer = http.post(f"/admin/models/{model}/activate", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


@dataclass
class Traffic:
    """Searches both servers all the time and checks each answer against the oracle of the model it names."""

    servers: tuple
    queries: list
    query_codes: dict[str, np.ndarray]
    code_of: dict[str, dict[str, np.ndarray]]
    bits: int
    answers: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        self._threads = [
            threading.Thread(target=self._search, args=(self.servers[i % 2].url, i)) for i in range(SEARCHERS)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _search(self, url: str, seed: int) -> None:
        rng = random.Random(seed)
        with httpx2.Client(base_url=url, timeout=60) as http:
            while not self._over.is_set():
                q = rng.randrange(len(self.queries))
                answer = http.post("/search", files={"file": self.queries[q].content}, data={"limit": str(K)})
                if answer.status_code != 200:
                    self.faults.append(f"{answer.status_code}: {answer.text[:300]}")
                else:
                    self._check(q, answer.json())

    def _check(self, q: int, body: dict) -> None:
        model = body["index"]["model"]
        self.answers[model] = self.answers.get(model, 0) + 1
        code = self.query_codes[model][q]
        if body["query"]["code"] != code_to_hex(code, self.bits):
            self.faults.append(f"the query's code is not of {model}")
        items = body["items"]
        if len(items) < K:
            self.faults.append(f"{len(items)} results")
            return
        known = self.code_of[model]
        told = [item["distance"] for item in items]
        real = [int(hamming(known[item["id"]][None], code)[0]) for item in items]
        if told != real or told != sorted(told):
            self.faults.append(f"distances under {model}: told {told}, real {real}")
        # Pictures come in meanwhile, so the answer may be better than the first ones', never worse.
        nearest = np.sort(hamming(np.stack([known[i] for i in self.first_ids]), code))[:K].tolist()
        if any(t > n for t, n in zip(told, nearest, strict=True)):
            self.faults.append(f"half an index under {model}: told {told}, nearest {nearest}")


def traffic_of(service: Service, servers, gallery, queries, first_ids) -> Traffic:
    oracles = service.oracles()
    contents = [p.content for p in gallery]
    codes = {name: oracle.codes(contents) for name, oracle in oracles.items()}
    traffic = Traffic(
        servers,
        queries,
        {name: oracle.codes([q.content for q in queries]) for name, oracle in oracles.items()},
        {name: {p.name: code for p, code in zip(gallery, codes[name], strict=True)} for name in oracles},
        32,
    )
    traffic.first_ids = first_ids
    different = sum((codes[SMALL][i] != codes[service.variant.name][i]).any() for i in range(len(gallery)))
    assert different > len(gallery) / 2, "the two models must be told apart"
    return traffic


def test_a_live_collection_changes_its_model_without_an_error_an_empty_or_a_mixed_answer(service, pictures):
    check_changes_of_model(service, pictures)


@pytest.mark.postgres
def test_so_it_does_on_postgres(postgres_service, pictures):
    check_changes_of_model(postgres_service, pictures)


def check_changes_of_model(service, pictures):
    gallery, queries = pictures
    early, late = gallery[:N_GALLERY], gallery[N_GALLERY:]
    new = service.variant.name
    second = service.server("two")
    service.worker()
    with service.first.client() as one, second.client() as two:
        add_all(one, early)
        wait_for(lambda: two.get("/info").json()["images"] == N_GALLERY)
        refused = one.post(f"/admin/models/{new}/activate", json={})
        assert (refused.status_code, refused.json()["code"]) == (409, "codes_missing")
        servers = (service.first, second)
        with traffic_of(service, servers, gallery, queries, [p.name for p in early]) as traffic:
            add_all(two, late[:10])
            job = job_of(one, one.post("/admin/jobs/reencode", json={"model": new}))
            # Encoded under both from here on, so that neither switch nor rollback has a gap.
            add_all(one, late[10:20])
            for turn in range(SWITCHES):
                http = (one, two)[turn % 2]
                if turn % 2 == 0:
                    answered = activate(http, new)
                    assert (answered["model"], answered["missing"]) == (new, 0)
                else:
                    back = http.post("/admin/models/rollback", json={})
                    assert (back.status_code, back.json()["missing"]) == (200, 0), back.text
                add_all((two, one)[turn % 2], late[20 + 5 * turn : 25 + 5 * turn])
                time.sleep(0.3)
            activate(two, new)
            for http in (one, two):
                wait_for(lambda http=http: model_of(http) == new, within_s=1)
        assert not traffic.faults, traffic.faults[:3]
        assert min(traffic.answers.values()) > 10, traffic.answers
        assert set(traffic.answers) == {SMALL, new}
        assert job["result"]["missing"] == 0
        stats = one.get("/info").json()["collections"][0]
        assert (stats["model"], stats["images"]) == (new, len(gallery))


def test_a_killed_worker_leaves_no_picture_without_its_code_and_none_twice(service, pictures):
    gallery, queries = pictures
    new = service.variant.name
    with service.first.client() as http:
        add_all(http, gallery[:N_GALLERY])
        answer = http.post("/admin/jobs/reencode", json={"model": new})
        job_path = answer.headers["location"]
        done = 0
        for _ in range(KILLS):
            worker = service.worker()
            # Each gets some batches further, and dies in one.
            done = wait_for(lambda done=done: progress_beyond(http, job_path, done))
            worker.kill()
            worker.wait()
        assert done < N_GALLERY, "the kills came too late to prove anything"
        service.worker()
        job = job_of(http, answer)
        assert (job["result"]["missing"], job["result"]["failed"]) == (0, 0)
        assert job["progress"]["done"] == N_GALLERY
        assert activate(http, new)["missing"] == 0
        oracle = service.oracles()[new]
        codes = oracle.codes([p.content for p in gallery[:N_GALLERY]])
        for query, code in zip(queries, oracle.codes([q.content for q in queries]), strict=True):
            body = http.post("/search", files={"file": query.content}, data={"limit": "20"}).json()
            nearest = np.sort(hamming(codes, code))[:20].tolist()
            assert [item["distance"] for item in body["items"]] == nearest
            assert len({item["id"] for item in body["items"]}) == 20


@pytest.mark.torch
def test_a_killed_training_goes_on_from_its_last_epoch(service, pictures):
    gallery, _ = pictures
    ask = {"name": "mine", "collection": "default", "method": "autoencoder", "bits": 16, "epochs": 6}
    with service.first.client() as http:
        add_all(http, gallery[:40])
        answer = http.post("/admin/jobs/train", json=ask)
        job_path = answer.headers["location"]
        done = 0
        for _ in range(2 if not SOAK else 5):
            worker = service.worker()
            done = wait_for(lambda done=done: progress_beyond(http, job_path, done), within_s=120)
            worker.kill()
            worker.wait()
        before = http.get(job_path).json()["result"]["epochs"]
        shutil.rmtree(service.folder / "worker" / "training")  # the next worker is on another machine
        service.worker()
        job = job_of(http, answer)

        epochs = job["result"]["epochs"]
        assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4, 5, 6]
        assert epochs[: len(before)] == before
        assert job["progress"]["done"] == 6
        models = [m["name"] for m in http.get("/models").json()["items"]]
        assert models.count("mine") == 1
        assert not (service.folder / "store" / "checkpoints").exists() or not list(
            (service.folder / "store" / "checkpoints").iterdir()
        )


def test_an_activation_killed_on_the_way_leaves_the_old_model_and_can_be_asked_for_again(service, pictures):
    gallery, queries = pictures
    new = service.variant.name
    second = service.server("two")
    service.worker()
    with second.client() as two:
        add_all(two, gallery[:40])
        job_of(two, two.post("/admin/jobs/reencode", json={"model": new}))
        # Frozen, the second server cannot get ready: the activation waits for it.
        os.kill(second.process.pid, signal.SIGSTOP)
        asking = threading.Thread(target=ask_in_vain, args=(service.first.url, new))
        asking.start()
        time.sleep(1.5)
        service.first.kill()
        asking.join()
        os.kill(second.process.pid, signal.SIGCONT)

        with service.server("one").client() as one:
            assert [model_of(one), model_of(two)] == [SMALL, SMALL]
            assert activate(one, new)["model"] == new
            wait_for(lambda: model_of(two) == new, within_s=1)
            # A process that stays silent is given up, and follows when it wakes.
            os.kill(second.process.pid, signal.SIGSTOP)
            back = one.post("/admin/models/rollback", json={}).json()
            os.kill(second.process.pid, signal.SIGCONT)
            assert back["model"] == SMALL
            assert back["evicted"]
            wait_for(lambda: model_of(two) == SMALL, within_s=5)
            for http, query in itertools.product((one, two), queries[:3]):
                body = http.post("/search", files={"file": query.content}).json()
                assert (body["index"]["model"], len(body["items"])) == (SMALL, 20)


def model_of(http) -> str:
    return http.get("/info").json()["collections"][0]["model"]


def progress_beyond(http, job_path: str, done: int) -> int:
    now = http.get(job_path).json()["progress"]["done"]
    return now if now > done else 0


def ask_in_vain(url: str, model: str) -> None:
    with httpx2.Client(base_url=url, timeout=60) as http, pytest.raises(httpx2.HTTPError):
        http.post(f"/admin/models/{model}/activate", json={})
