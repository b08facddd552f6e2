"""Workers are killed, frozen and shared while they import: every picture comes in once all the same."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from app.services.importing import batches
from tests.process import small_batches
from tests.process.workers import (
    QUICK,
    check_each_once,
    distinct_pictures,
    start_import,
    wait_for,
    workers,
    zip_of,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600 if os.environ.get("LOOKALIKE_SOAK") else 900),
]

SOAK = bool(os.environ.get("LOOKALIKE_SOAK"))
KILLS = 50 if SOAK else 1
PICTURES = 5_000 if SOAK else 60
SHARED_PICTURES = 5_000 if SOAK else 144
"""So many that the second worker has its turn however late it is."""
BATCH_ITEMS = batches.BATCH_ITEMS if SOAK else small_batches.BATCH_ITEMS
WORKER = () if SOAK else ("tests.process.small_batches",)
BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="module")
def pictures():
    return distinct_pictures(PICTURES)


@pytest.fixture(scope="module")
def archive(pictures) -> bytes:
    return zip_of(pictures)


@pytest.fixture
def env(request, tmp_path) -> dict[str, str]:
    """Settings of a database of either kind, with short timeouts."""
    env = {
        "LOOKALIKE_BUSY_TIMEOUT_S": "1",
        "LOOKALIKE_IDLE_IN_TRANSACTION_TIMEOUT_S": "2",
        "LOOKALIKE_SWEEP_INTERVAL_S": "0.2",
    }
    if getattr(request, "param", "sqlite") == "postgres":
        env["LOOKALIKE_DATABASE_URL"] = request.getfixturevalue("postgres_url")
    return env


@pytest.fixture
def data_dir(tmp_path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def http(start, data_dir, env):
    with start(data_dir=data_dir, env={**QUICK, **env}).client() as http:
        yield http


def done(http, job_id: str) -> int:
    return http.get(f"/jobs/{job_id}").json()["progress"]["done"]


def is_over(http, job_id: str) -> bool:
    return http.get(f"/jobs/{job_id}").json()["status"] in {"succeeded", "failed", "cancelled"}


@pytest.mark.parametrize("env", BOTH, indirect=True)
def test_a_worker_killed_at_any_moment_loses_and_doubles_nothing(http, data_dir, env, pictures, archive):
    """Kills fall between a batch's reading and its commit, wherever chance has it; the seed is printed."""
    seed = int(os.environ.get("LOOKALIKE_TEST_SEED", "20261125"))
    print(f"seed {seed}")
    chance = random.Random(seed)
    job_id = start_import(http, archive)
    # Two batches before the end, so that the last kill finds work left.
    marks = sorted(chance.sample(range(PICTURES - 2 * BATCH_ITEMS), KILLS))
    took_over_s = []

    with workers(data_dir, env) as start_worker:
        worker = start_worker(*WORKER)
        for mark in marks:
            wait_for(lambda mark=mark: done(http, job_id) >= mark, 120)
            time.sleep(chance.uniform(0, 0.3))
            worker.kill()
            killed_at, before = time.monotonic(), done(http, job_id)
            worker = start_worker(*WORKER)
            wait_for(lambda before=before: done(http, job_id) > before or is_over(http, job_id), 120)
            took_over_s.append(time.monotonic() - killed_at)
        wait_for(lambda: is_over(http, job_id), 600)
        check_each_once(http, job_id, pictures, data_dir / "store")

    print(f"went on after {[round(s, 1) for s in took_over_s]} s, a new process's start included")
    check_half_files_are_swept(data_dir / "store" / "incoming")


def check_half_files_are_swept(incoming: Path) -> None:
    """The service removes what killed workers were writing, once that is old."""
    (incoming / "left-by-a-killed-worker").write_bytes(b"half a pict")
    for path in incoming.iterdir():
        os.utime(path, (0, 0))
    wait_for(lambda: not list(incoming.iterdir()))
    assert incoming.is_dir()


@pytest.mark.parametrize("env", BOTH, indirect=True)
def test_the_service_deletes_the_upload_that_a_killed_worker_kept_after_its_job(http, data_dir, env, pictures):
    job_id = start_import(http, zip_of(pictures[:3]))
    staged = data_dir / "store" / "staging" / job_id
    with workers(data_dir, env) as start_worker:
        dying = start_worker("tests.process.dying_worker", "give the upload back", "0")
        assert dying.process.wait(60) == -signal.SIGKILL
        assert is_over(http, job_id)

    # No worker is left: the service's own sweep, every .2 s here, may already have been faster than this line.
    wait_for(lambda: not staged.exists())

    check_each_once(http, job_id, pictures[:3], data_dir / "store")


@pytest.mark.parametrize("env", BOTH, indirect=True)
def test_a_worker_frozen_outside_a_transaction_is_taken_over_and_writes_nothing(
    http, data_dir, env, pictures, archive
):
    job_id = start_import(http, archive)
    with workers(data_dir, env) as start_worker:
        frozen = start_worker("tests.process.failing_worker", "outside")
        wait_for(lambda: frozen.is_frozen)

        start_worker(*WORKER)
        wait_for(lambda: is_over(http, job_id))
        frozen.thaw()
        wait_for(lambda: frozen.events("lease_lost") or frozen.events("part_abandoned"))

        check_each_once(http, job_id, pictures, data_dir / "store")


@pytest.mark.postgres
@pytest.mark.parametrize("env", ["postgres"], indirect=True)
def test_postgres_frees_itself_of_a_worker_frozen_inside_a_transaction(http, data_dir, env, pictures, archive):
    job_id = start_import(http, archive)
    with workers(data_dir, env) as start_worker:
        frozen = start_worker("tests.process.failing_worker", "inside")
        wait_for(lambda: frozen.is_frozen)

        start_worker(*WORKER)
        wait_for(lambda: is_over(http, job_id))
        frozen.thaw()
        wait_for(lambda: frozen.events("lease_lost") or frozen.events("part_abandoned"))

        check_each_once(http, job_id, pictures, data_dir / "store")


@pytest.mark.parametrize("ends_by", ["thaw", "kill"] if SOAK else ["thaw"])
def test_sqlite_answers_searches_while_a_frozen_worker_holds_its_lock(
    http, data_dir, env, pictures, archive, ends_by
):
    job_id = start_import(http, archive)
    with workers(data_dir, env) as start_worker:
        frozen = start_worker("tests.process.failing_worker", "inside")
        wait_for(lambda: frozen.is_frozen)

        refused = http.put("/images/x", content=pictures[0].content)
        found = http.post("/search", files={"file": pictures[0].content})
        getattr(frozen, ends_by)()
        start_worker(*WORKER)
        wait_for(lambda: is_over(http, job_id))

        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert found.status_code == 200
        check_each_once(http, job_id, pictures, data_dir / "store")


@pytest.mark.postgres
@pytest.mark.parametrize("env", ["postgres"], indirect=True)
def test_two_workers_share_one_import(http, data_dir, env):
    pictures = distinct_pictures(SHARED_PICTURES)
    with workers(data_dir, env) as start_worker:
        pair = [start_worker(*WORKER), start_worker(*WORKER)]
        wait_for(lambda: all(worker.events("worker_ready") for worker in pair))

        job_id = start_import(http, zip_of(pictures))
        wait_for(lambda: is_over(http, job_id))

        check_each_once(http, job_id, pictures, data_dir / "store")
        shares = [[e["part"] for e in worker.events("part_claimed") if e["part"] > 0] for worker in pair]
    assert all(shares), shares
    # A worker that waits for a processor longer than its lease loses a part, so both may claim it.
    claimed = {*shares[0], *shares[1]}
    assert claimed == set(range(1, 1 + len(claimed)))
