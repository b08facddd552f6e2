"""A runner does jobs in batches, and one that cannot go on leaves a job that another can take up."""

import asyncio
from dataclasses import asdict
from typing import Any

import pytest

from app.domain.errors import InvalidRequest, StorageFull, StorageUnavailable
from app.domain.jobs import JobKind, JobRecord, JobState, Lease
from app.jobs.leases import HeldPart
from app.jobs.progress import RateMeter, progress_of
from app.jobs.retries import Trial, backoff_s, next_trial
from app.jobs.runner import Handler, Runner
from app.store.engine import Database
from app.store.jobs.leases import LeaseWriter

pytestmark = pytest.mark.anyio

BATCHES = 4


async def create(database: Database) -> JobRecord:
    async with database.write() as unit:
        return await unit.jobs.create("index", {"source": "a.zip"})


async def get(database: Database, job_id: str) -> JobRecord:
    async with database.read() as unit:
        job = await unit.jobs.get(job_id)
    assert job is not None
    return job


def runner(database: Database, handler: Handler, **options: Any) -> Runner:
    return Runner(database, {JobKind.INDEX: handler}, owner="w", **{"lease_s": 30.0, "poll_s": 0.01, **options})


async def work_once(worker: Runner) -> None:
    """Work on one part, as soon as one is free: a part may be put off, or its lease may have to expire."""
    while not await worker.run_one():  # noqa: ASYNC110 - only the clock frees a part
        await asyncio.sleep(0.01)


def counting(seen: list[int], *, fail_at: int | None = None, error: Exception | None = None) -> Handler:
    """A handler of four batches that notes each; it fails once, in the middle."""

    async def handle(part: HeldPart) -> dict[str, Any]:
        for place in range(part.checkpoint.get("next", 0), BATCHES):
            if place == fail_at and error is not None and seen.count(place) == 0:
                seen.append(place)
                raise error
            async with part.batch() as batch:
                batch.save({"next": place + 1}, done=1, total=BATCHES)
            seen.append(place)
        return {"batches": BATCHES}

    return handle


async def test_a_job_is_done_and_says_how_far_it_is(database: Database):
    job = await create(database)
    seen: list[int] = []

    assert await runner(database, counting(seen)).run_one()

    done = await get(database, job.id)
    assert (done.state, done.done, done.total, done.result) == (JobState.SUCCEEDED, 4, 4, {"batches": 4})
    assert progress_of(done).percent == 100.0
    assert seen == [0, 1, 2, 3]
    assert not await runner(database, counting(seen)).run_one()


async def test_an_error_of_ours_fails_the_job_with_its_code(database: Database):
    job = await create(database)

    await runner(database, counting([], fail_at=2, error=InvalidRequest("no such folder"))).run_one()

    failed = await get(database, job.id)
    assert (failed.state, failed.error_code, failed.error_detail) == (
        JobState.FAILED,
        "validation_failed",
        "no such folder",
    )
    assert failed.done == 2


async def test_a_defect_fails_the_job_and_says_nothing_of_our_insides(database: Database):
    job = await create(database)

    await runner(database, counting([], fail_at=1, error=KeyError("/etc/secret"))).run_one()

    failed = await get(database, job.id)
    assert (failed.state, failed.error_code) == (JobState.FAILED, "job_crashed")
    assert "secret" not in (failed.error_detail or "")


async def test_what_may_pass_is_put_off_and_goes_on_from_the_checkpoint(database: Database):
    job = await create(database)
    seen: list[int] = []
    first = runner(database, counting(seen, fail_at=2, error=StorageUnavailable()))

    await first.run_one()
    assert (await get(database, job.id)).state in {JobState.QUEUED, JobState.RUNNING}
    await work_once(runner(database, counting(seen)))

    assert (await get(database, job.id)).state == JobState.SUCCEEDED
    assert seen == [0, 1, 2, 2, 3]


async def test_a_cancelled_job_ends_after_the_batch_in_hand(database: Database):
    job = await create(database)
    seen: list[int] = []

    async def handle(part: HeldPart) -> None:
        for place in range(BATCHES):
            if place == 1:
                async with database.write() as unit:
                    await unit.jobs.cancel(job.id)
            async with part.batch() as batch:
                batch.save({"next": place + 1}, done=1)
            seen.append(place)

    await runner(database, handle).run_one()

    assert (await get(database, job.id)).state == JobState.CANCELLED
    assert seen == [0]
    assert (await get(database, job.id)).done == 2


async def test_a_stopped_runner_gives_its_part_back(database: Database):
    job = await create(database)
    seen: list[int] = []

    async def handle(part: HeldPart) -> None:
        for place in range(part.checkpoint.get("next", 0), BATCHES):
            stopping.stop()
            async with part.batch() as batch:
                batch.save({"next": place + 1}, done=1)
            seen.append(place)

    stopping = runner(database, handle)
    await stopping.run()
    assert (await get(database, job.id)).state in {JobState.QUEUED, JobState.RUNNING}
    await runner(database, counting(seen)).run_one()

    assert (await get(database, job.id)).state == JobState.SUCCEEDED
    assert seen == [1, 2, 3]


def test_waits_grow_up_to_a_bound():
    waits = [backoff_s(strikes) for strikes in (1, 5, 12, 1000)]

    assert all(0.5 <= wait <= 300 for wait in waits)
    assert waits[0] <= 1.0
    assert waits[2] >= 150


def lease(attempt: int, trial: Trial | None = None, *, is_taken_over: bool) -> Lease:
    checkpoint = {} if trial is None else {"trial": asdict(trial)}
    return Lease("j", 0, attempt, JobKind.INDEX, {}, {}, checkpoint, 0, is_taken_over)


def test_two_deaths_with_an_item_alone_in_hand_prove_it_deadly():
    first = next_trial(lease(2, is_taken_over=True), 7)
    second = next_trial(lease(3, first, is_taken_over=True), 7)
    third = next_trial(lease(4, second, is_taken_over=True), 7)

    assert [trial.deaths for trial in (first, second, third)] == [0, 1, 2]
    assert [trial.is_proven_deadly for trial in (first, second, third)] == [False, False, True]


def test_an_item_is_not_blamed_for_a_worker_that_stopped_or_died_before_it_came_to_it():
    written = Trial(7, 1, attempt=3)

    given_back = next_trial(lease(4, written, is_taken_over=False), 7)
    # Attempt 4 died while it loaded the model: it had written nothing down.
    died_before = next_trial(lease(5, written, is_taken_over=True), 7)
    another = next_trial(lease(4, written, is_taken_over=True), 8)

    assert [given_back.deaths, died_before.deaths, another.deaths] == [1, 1, 0]


async def test_an_intention_written_down_is_no_progress(database: Database):
    await create(database)

    async def intend(part: HeldPart) -> None:
        async with part.batch() as batch:
            batch.save({"trial": 1}, is_progress=False)
        assert part.strikes == len(seen)
        seen.append(part.checkpoint)
        raise StorageUnavailable

    seen: list[dict[str, Any]] = []
    for _ in range(2):
        await work_once(runner(database, intend))

    assert seen == [{"trial": 1}, {"trial": 1}]


async def test_a_batch_that_hangs_counts_as_a_death(database: Database):
    await create(database)
    taken_over: list[bool] = []

    async def hang(part: HeldPart) -> None:
        taken_over.append(part.lease.is_taken_over)
        if len(taken_over) == 1:
            await asyncio.sleep(60)

    await work_once(runner(database, hang, lease_s=0.1, batch_deadline_s=0.05))
    await work_once(runner(database, hang))

    assert taken_over == [False, True]


def test_the_rate_forgets_what_is_long_past():
    meter = RateMeter(0.0)
    meter.add(1_000, 1.0)

    assert meter.add(0, 200.0) < 1.0


async def test_a_full_disk_under_the_database_ends_no_runner(database: Database, monkeypatch):
    job = await create(database)
    full = [True]
    put_off = LeaseWriter.put_off

    async def put_off_on_a_full_disk(self: LeaseWriter, lease: Lease, **why: Any) -> None:
        if full:
            raise StorageFull
        await put_off(self, lease, **why)

    monkeypatch.setattr(LeaseWriter, "put_off", put_off_on_a_full_disk)
    failing = runner(database, counting([], fail_at=1, error=StorageFull()), lease_s=0.01)

    assert await failing.run_one()
    full.clear()
    seen: list[int] = []
    await work_once(runner(database, counting(seen)))

    assert (await get(database, job.id)).state is JobState.SUCCEEDED
    assert seen == [1, 2, 3]


async def test_a_full_disk_as_a_worker_looks_for_work_ends_no_runner(database: Database, monkeypatch):
    job = await create(database)
    claim, looks = LeaseWriter.claim, []

    async def claim_on_a_full_disk(self: LeaseWriter, *args: Any, **options: Any) -> Lease | None:
        looks.append(None)
        if len(looks) == 1:
            raise StorageFull
        lease = await claim(self, *args, **options)
        if lease is None:
            working.stop()
        return lease

    monkeypatch.setattr(LeaseWriter, "claim", claim_on_a_full_disk)
    working = runner(database, counting([]))
    await asyncio.wait_for(working.run(), 30)

    assert (await get(database, job.id)).state is JobState.SUCCEEDED
