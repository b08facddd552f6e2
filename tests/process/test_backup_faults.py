"""Backups and restoring: workers are killed on the way, and servers answer all the time."""

import hashlib
import json
import os
import signal
import threading
import time
from pathlib import Path

import httpx2
import pytest

from tests.process.gallery import labelled_pictures
from tests.process.several import Service, activate, job_of, model_of, wide
from tests.process.test_real_pictures import add_all
from tests.process.workers import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600 if os.environ.get("LOOKALIKE_SOAK") else 900),
]

SOAK = bool(os.environ.get("LOOKALIKE_SOAK"))
KEPT, LATER = 60, 40
PAUSE_S = 0.0 if SOAK else 0.02
"""Between two searches of a server; without one, they take the processors from what they watch."""
K = 10


@pytest.fixture(scope="module")
def pictures():
    gallery, queries = labelled_pictures(KEPT + LATER, 6)
    return [wide(p) for p in gallery], [wide(p) for p in queries]


def state_of(http) -> list[str]:
    """Everything that a collection holds, codes included."""
    return http.get("/export").text.splitlines()


def change_everything(service: Service, http, kept, later) -> None:
    """Of what a backup holds, a third goes, a third is another picture, and the model is another one."""
    for picture in kept[::3]:
        http.delete(f"/images/{picture.name}")
    for picture, other in zip(kept[1::3], later, strict=False):
        http.put(f"/images/{picture.name}", content=other.content)
    add_all(http, later[len(kept) // 3 :])
    job_of(http, http.post("/admin/jobs/reencode", json={"model": service.variant.name}))
    activate(http, service.variant.name)


def answers_of(http, queries) -> list[dict]:
    return [
        answer_of(http.post("/search", files={"file": q.content}, data={"limit": str(K), "rank": "hamming"}))
        for q in queries
    ]


def answer_of(response) -> dict:
    assert response.status_code == 200, response.text
    body = response.json()
    return {
        "model": body["index"]["model"],
        "code": body["query"]["code"],
        "items": [(item["id"], item["distance"], item["exact"]) for item in body["items"]],
    }


class Watching:
    """Searches some servers all the time; keeps each answer that differs from the one before."""

    def __init__(self, servers, queries) -> None:
        self._over = threading.Event()
        self.seen = {(s.url, q): [] for s in servers for q in range(len(queries))}
        self.faults: list[str] = []
        self._threads = [threading.Thread(target=self._search, args=(s.url, queries)) for s in servers]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _search(self, url: str, queries) -> None:
        with httpx2.Client(base_url=url, timeout=60) as http:
            while not self._over.is_set():
                for q, query in enumerate(queries):
                    self._over.wait(PAUSE_S)
                    response = http.post(
                        "/search", files={"file": query.content}, data={"limit": str(K), "rank": "hamming"}
                    )
                    if response.status_code != 200:
                        self.faults.append(f"{response.status_code}: {response.text[:200]}")
                        continue
                    answer, seen = answer_of(response), self.seen[url, q]
                    if not seen or seen[-1] != answer:
                        seen.append(answer)


def test_two_servers_answer_from_what_was_or_from_what_was_restored_never_from_both(service, pictures):
    gallery, queries = pictures
    kept, later = gallery[:KEPT], gallery[KEPT:]
    second = service.server("two")
    service.worker()
    with service.first.client() as one, second.client() as two:
        add_all(one, kept)
        restored, state = answers_of(one, queries), state_of(one)
        backup = job_of(one, one.post("/admin/jobs/backup", json={}))["id"]
        change_everything(service, one, kept, later)
        wait_for(lambda: model_of(two) == service.variant.name)
        changed = answers_of(one, queries)
        assert all(was["items"] != now["items"] for was, now in zip(restored, changed, strict=True))

        with Watching((service.first, second), queries) as watching:
            wait_for(lambda: all(watching.seen.values()))
            job_of(two, two.post("/admin/restore", json={"backup": backup}))
            for http in (one, two):
                wait_for(lambda http=http: answers_of(http, queries) == restored)
            wait_for(lambda: all(seen[-1] == restored[q] for (_, q), seen in watching.seen.items()))

        assert not watching.faults, watching.faults[:3]
        for (url, q), seen in watching.seen.items():
            assert seen == [changed[q], restored[q]], (url, q)
        assert state_of(one) == state_of(two) == state
        assert two.put("/images/another", content=later[0].content).status_code == 201
        wait_for(lambda: one.get("/info").json()["images"] == KEPT + 1)


TAKING = {"put a file": (KEPT + 3,), "make it known": (0,)}
RESTORING = {"put rows": (2,), "end the job": (0,)}
if SOAK:
    FILES = (*range(0, KEPT, 5), KEPT + 3)
    TAKING = {"put a file": FILES, "make it known": (0,), "end the job": (0,)}
    RESTORING = {"get a file": FILES, "clear": (0,), "put rows": range(5), "put orphans": (0,)}
    RESTORING["end the job"] = (0,)


def some_of(steps: dict, service: Service) -> dict:
    """On Postgres the first alone: the steps are the same, and each takes seconds."""
    return steps if SOAK or service.is_on_sqlite else dict([*steps.items()][:1])


def test_a_worker_killed_at_any_step_leaves_no_half_backup_and_no_half_restore(service, pictures):
    gallery, queries = pictures
    kept, later = gallery[:KEPT], gallery[KEPT:]
    backups = service.folder / "store" / "backups"
    with service.first.client() as http:
        add_all(http, kept)
        restored, state = answers_of(http, queries), state_of(http)
        taking = http.post("/admin/jobs/backup", json={"copy_pictures": True})
        for step in deaths(service, taking, some_of(TAKING, service)):
            is_known = bool(http.get("/admin/backups").json()["items"])
            assert is_known == (step == "end the job")
            assert check_manifests(backups) == (step in {"make it known", "end the job"})
            assert answers_of(http, queries) == restored
        service.worker()
        backup = job_of(http, taking)["id"]
        [listed] = http.get("/admin/backups").json()["items"]
        assert (listed["id"], listed["pictures"], listed["missing_files"]) == (backup, KEPT, 0)
        assert check_manifests(backups) == 1
        service.end_workers()

        for picture in kept[::2]:
            http.delete(f"/images/{picture.name}")
        add_all(http, later)
        changed, other = answers_of(http, queries), state_of(http)
        restoring = http.post("/admin/restore", json={"backup": backup})
        for step in deaths(service, restoring, some_of(RESTORING, service)):
            is_restored = step == "end the job"
            assert state_of(http) == (state if is_restored else other)
            assert answers_of(http, queries) == (restored if is_restored else changed)
            # Nothing is held up by what the dead worker had begun.
            assert http.post("/collections", json={"name": f"at-{time.monotonic_ns()}"}).status_code == 201
        service.worker()
        assert job_of(http, restoring)["result"]["pictures"] == KEPT
        assert answers_of(http, queries) == restored
        assert not list((service.folder / "worker" / "spool").iterdir())


def deaths(service: Service, answer, steps: dict):
    """Workers on a job that die one after the other, each before one of the steps; told after each."""
    assert answer.status_code == 202, answer.text
    for step, places in steps.items():
        for place in places:
            worker = service.worker("tests.process.dying_worker", step, str(place))
            assert worker.wait(60) == -signal.SIGKILL
            yield step


def check_manifests(backups: Path) -> int:
    """How many backups there are, each of which must be whole."""
    manifests = list(backups.glob("*/manifest.json"))
    for path in manifests:
        for file in json.loads(path.read_text())["files"]:
            content = (path.parent / file["name"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
    return len(manifests)
