"""The model of a live collection changes under constant traffic; nobody notices but by better answers."""

import contextlib
import itertools
import os
import random
import shutil
import signal
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import numpy as np
import pytest

from app.domain.codes import code_to_hex, hamming
from tests.fixtures.database import BOTH
from tests.fixtures.models import SMALL
from tests.process.gallery import labelled_pictures
from tests.process.several import Service, activate, freeze, job_of, model_of, wide
from tests.process.test_real_pictures import add_all
from tests.process.workers import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600 if os.environ.get("LOOKALIKE_SOAK") else 900),
]

SOAK = bool(os.environ.get("LOOKALIKE_SOAK"))
N_GALLERY = 3_000 if SOAK else 96
SWITCHES = 40 if SOAK else 2
KILLS = 50 if SOAK else 1
SEARCHERS = 4 if SOAK else 2
PAUSE_S = 0.0 if SOAK else 0.02
"""Between two searches of one of them; without one, they take the processors from what they watch."""
K = 10


@pytest.fixture(scope="module")
def pictures():
    gallery, queries = labelled_pictures(N_GALLERY + 20 + 5 * SWITCHES, 12)
    return [wide(p) for p in gallery], [wide(p) for p in queries]


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
            while not self._over.wait(PAUSE_S):
                q = rng.randrange(len(self.queries))
                answer = http.post(
                    "/search",
                    files={"file": self.queries[q].content},
                    data={"limit": str(K), "rank": "hamming"},
                )
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
                    serving, answered = new, activate(http, new)
                    assert (answered["model"], answered["missing"]) == (new, 0)
                else:
                    serving = SMALL
                    back = http.post("/admin/models/rollback", json={})
                    assert (back.status_code, back.json()["missing"]) == (200, 0), back.text
                add_all((two, one)[turn % 2], late[20 + 5 * turn : 25 + 5 * turn])
                answers = traffic.answers.get(serving, 0)
                wait_for(lambda name=serving, seen=answers: traffic.answers.get(name, 0) > seen + 10)
            activate(two, new)
            for http in (one, two):
                wait_for(lambda http=http: model_of(http) == new)
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
            body = http.post(
                "/search", files={"file": query.content}, data={"limit": "20", "rank": "hamming"}
            ).json()
            nearest = np.sort(hamming(codes, code))[:20].tolist()
            assert [item["distance"] for item in body["items"]] == nearest
            assert len({item["id"] for item in body["items"]}) == 20


@pytest.mark.torch
@pytest.mark.parametrize("service", BOTH if SOAK else ["sqlite"], indirect=True)
def test_a_killed_training_goes_on_from_its_last_epoch(service, pictures):
    gallery, _ = pictures
    kills = 5 if SOAK else 1
    ask = {"name": "mine", "collection": "default", "method": "autoencoder", "bits": 16, "epochs": kills + 2}
    with service.first.client() as http:
        add_all(http, gallery[:40])
        answer = http.post("/admin/jobs/train", json=ask)
        job_path = answer.headers["location"]
        done = 0
        for _ in range(kills):
            worker = service.worker()
            done = wait_for(lambda done=done: progress_beyond(http, job_path, done), within_s=120)
            worker.kill()
            worker.wait()
        before = http.get(job_path).json()["result"]["epochs"]
        shutil.rmtree(service.folder / "worker" / "training")  # the next worker is on another machine
        service.worker()
        job = job_of(http, answer)

        epochs = job["result"]["epochs"]
        assert [epoch["epoch"] for epoch in epochs] == list(range(1, kills + 3))
        assert epochs[: len(before)] == before
        assert job["progress"]["done"] == kills + 2
        models = [m["name"] for m in http.get("/models").json()["items"]]
        assert models.count("mine") == 1
        assert not (service.folder / "store" / "checkpoints").exists() or not list(
            (service.folder / "store" / "checkpoints").iterdir()
        )


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_an_activation_killed_on_the_way_leaves_the_old_model_and_can_be_asked_for_again(service, pictures):
    gallery, queries = pictures
    new = service.variant.name
    second = service.server("two")
    service.worker()
    with second.client() as two, service.first.client() as asked:
        add_all(two, gallery[:40])
        job_of(two, two.post("/admin/jobs/reencode", json={"model": new}))
        # Frozen, the second server cannot get ready: the activation waits for it.
        freeze(second, asked, gallery[0].name)
        asking = threading.Thread(target=ask_in_vain, args=(service.first.url, new))
        asking.start()
        wait_for(lambda: has_loaded_one(service.folder / "shared.db", new))
        service.first.kill()
        asking.join()
        os.kill(second.process.pid, signal.SIGCONT)

        with service.server("one").client() as one:
            assert [model_of(one), model_of(two)] == [SMALL, SMALL]
            assert activate(one, new)["model"] == new
            wait_for(lambda: model_of(two) == new)
            # A process that stays silent is given up, and follows when it wakes.
            freeze(second, one, gallery[0].name)
            back = one.post("/admin/models/rollback", json={}).json()
            os.kill(second.process.pid, signal.SIGCONT)
            assert back["model"] == SMALL
            assert back["evicted"]
            wait_for(lambda: model_of(two) == SMALL)
            for http, query in itertools.product((one, two), queries[:3]):
                body = http.post("/search", files={"file": query.content}, data={"rank": "hamming"}).json()
                assert (body["index"]["model"], len(body["items"])) == (SMALL, 20)


def test_a_process_killed_at_any_moment_of_a_switch_leaves_one_model_everywhere(service, pictures):
    """Kills fall before, in and after the transaction that switches; the seed is printed."""
    gallery, queries = pictures
    seed = int(os.environ.get("LOOKALIKE_TEST_SEED", "20261125"))
    print(f"seed {seed}")
    chance = random.Random(seed)
    first, worker = service.first, service.worker()
    with service.server("two").client() as two:
        add_all(two, gallery[:40])
        job_of(two, two.post("/admin/jobs/reencode", json={"model": service.variant.name}))
        oracles = service.oracles()
        codes = {name: oracle.codes([p.content for p in gallery[:40]]) for name, oracle in oracles.items()}
        wanted = {name: oracle.codes([queries[0].content])[0] for name, oracle in oracles.items()}
        for _ in range(25 if SOAK else 1):
            other = next(name for name in oracles if name != model_of(two))
            asking = threading.Thread(target=ask, args=(first.url, other))
            asking.start()
            time.sleep(chance.uniform(0, 0.6))
            first.kill()
            # What else is at work may die with it: the next activation needs neither.
            worker.kill()
            asking.join()
            first, worker = service.server("one"), service.worker()
            with first.client() as one:
                now = model_of(one)
                wait_for(lambda now=now: model_of(two) == now)
                for http in (one, two):
                    body = http.post(
                        "/search", files={"file": queries[0].content}, data={"limit": "20", "rank": "hamming"}
                    ).json()
                    assert body["index"]["model"] == now
                    nearest = np.sort(hamming(codes[now], wanted[now]))[:20].tolist()
                    assert [item["distance"] for item in body["items"]] == nearest
                activate(one, other)
                wait_for(lambda other=other: model_of(two) == other)


def has_loaded_one(database: Path, model: str) -> bool:
    """Return whether a process is ready to switch to a model, so that the activation waits for the others."""
    query = "SELECT count(*) FROM process_models WHERE model = ? AND is_ready"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(query, (model,)).fetchone()[0] > 0


def ask(url: str, model: str) -> None:
    """Ask for an activation whose answer may never come."""
    with httpx2.Client(base_url=url, timeout=60) as http, contextlib.suppress(httpx2.HTTPError):
        http.post(f"/admin/models/{model}/activate", json={})


def progress_beyond(http, job_path: str, done: int) -> int:
    now = http.get(job_path).json()["progress"]["done"]
    return now if now > done else 0


def ask_in_vain(url: str, model: str) -> None:
    with httpx2.Client(base_url=url, timeout=60) as http, pytest.raises(httpx2.HTTPError):
        http.post(f"/admin/models/{model}/activate", json={})
