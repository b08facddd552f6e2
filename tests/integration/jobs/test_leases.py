"""A part of a job is one worker's at a time, and a worker that lost its lease writes nothing."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.errors import JobExists, JobNotCancellable, JobNotResumable, UnknownJob
from app.domain.jobs import ItemStatus, JobItemRecord, JobKind, JobRecord, JobState, Lease, Request
from app.jobs.progress import progress_of
from app.store.engine import Database
from app.store.jobs.leases import LeaseLost
from tests.integration.store.pictures import make_collection, new_image

pytestmark = pytest.mark.anyio


async def create(database: Database, **changes: Any) -> JobRecord:
    async with database.write() as unit:
        return await unit.jobs.create("index", {"source": "a.zip"}, **changes)


async def claim(
    database: Database, owner: str = "w1", *, lease_s: float = 60, max_strikes: int = 3
) -> Lease | None:
    async with database.write() as unit:
        return await unit.leases.claim(owner, lease_s=lease_s, kinds=[JobKind.INDEX], max_strikes=max_strikes)


async def claimed(database: Database, **options: Any) -> Lease:
    lease = await claim(database, **options)
    assert lease is not None
    return lease


async def claimed_soon(database: Database, *owner: str, **options: Any) -> Lease:
    """Claim again and again until a part is free."""
    for _ in range(1_000):
        lease = await claim(database, *owner, **options)
        if lease is not None:
            return lease
        await asyncio.sleep(0.02)
    raise AssertionError("no part became free")


async def get(database: Database, job_id: str) -> JobRecord:
    async with database.read() as unit:
        job = await unit.jobs.get(job_id)
    assert job is not None
    return job


async def checkpoint(database: Database, lease: Lease, place: int = 1, **changes: Any) -> Request | None:
    async with database.write() as unit:
        return await unit.leases.checkpoint(lease, {"next": place}, **changes)


def failed_item(position: int) -> JobItemRecord:
    return JobItemRecord(position, ItemStatus.FAILED, f"{position}.png", None, "not_an_image", "no picture")


async def test_a_job_reads_back_as_it_was_created(database: Database):
    collection = await make_collection(database)
    created = await create(database, collection_pk=collection.pk, exclusive="import:1")

    assert await get(database, created.id) == created
    assert (created.kind, created.state, created.done, created.total) == ("index", "queued", 0, None)
    assert created.arguments == {"source": "a.zip"}
    async with database.read() as unit:
        assert await unit.jobs.get("unknown") is None


async def test_jobs_are_listed_from_the_newest_and_filtered(database: Database):
    first, second = await create(database), await create(database, collection_pk=7)
    async with database.write() as unit:
        train = await unit.jobs.create("train", {})
        await unit.jobs.cancel(first.id)

    async with database.read() as unit:
        assert [job.id for job in await unit.jobs.page()] == [train.id, second.id, first.id]
        assert [job.id for job in await unit.jobs.page(before_id=train.id, limit=1)] == [second.id]
        assert [job.id for job in await unit.jobs.page(kind=JobKind.TRAIN)] == [train.id]
        assert [job.id for job in await unit.jobs.page(state=JobState.CANCELLED)] == [first.id]
        assert [job.id for job in await unit.jobs.page(collection_pks=[7])] == [second.id]


async def test_a_job_like_one_under_way_is_refused_until_that_is_over(database: Database):
    first = await create(database, exclusive="reencode:1")

    with pytest.raises(JobExists):
        await create(database, exclusive="reencode:1")
    await create(database, exclusive="reencode:2")
    async with database.write() as unit:
        await unit.jobs.cancel(first.id)
    await create(database, exclusive="reencode:1")


async def test_a_part_is_claimed_once(database: Database, open_database):
    job = await create(database)

    leases = await asyncio.gather(*(claim(open_database(), f"w{i}") for i in range(4)))

    [lease] = [lease for lease in leases if lease is not None]
    assert (lease.job_id, lease.attempt, lease.strikes, lease.checkpoint) == (job.id, 1, 0, {})
    assert (await get(database, job.id)).state is JobState.RUNNING


async def test_a_worker_claims_only_what_it_can_do(database: Database):
    async with database.write() as unit:
        await unit.jobs.create("train", {})

    assert await claim(database) is None


async def test_an_expired_lease_is_taken_over_and_its_holder_fenced(database: Database):
    collection = await make_collection(database)
    await create(database)
    old = await claimed(database, lease_s=60)
    await checkpoint(database, old, 5)
    assert await claim(database, "w2") is None
    await expire(database, old)

    new = await claimed(database, owner="w2")

    async def write_late() -> None:
        async with database.write() as unit:
            await unit.images.add(collection.pk, [new_image("late")])
            await unit.leases.checkpoint(old, {"next": 6})

    assert (new.attempt, new.checkpoint, new.strikes) == (2, {"next": 5}, 0)
    for refused in (
        write_late(),
        renew(database, old),
        finish(database, old),
        release(database, old),
        fail(database, old),
    ):
        with pytest.raises(LeaseLost):
            await refused
    async with database.read() as unit:
        assert await unit.images.count(collection.pk) == 0
    await checkpoint(database, new, 6)


async def expire(database: Database, lease: Lease) -> None:
    async with database.sign_of_life() as unit:
        await unit.leases.renew(lease, -1)


async def renew(database: Database, lease: Lease) -> None:
    async with database.sign_of_life() as unit:
        await unit.leases.renew(lease, 60)


async def finish(database: Database, lease: Lease) -> None:
    async with database.write() as unit:
        await unit.leases.finish(lease, {"made": "it"})


async def release(database: Database, lease: Lease) -> None:
    async with database.write() as unit:
        await unit.leases.release(lease)


async def fail(database: Database, lease: Lease) -> None:
    async with database.write() as unit:
        await unit.leases.fail(lease, code="broken", detail="beyond repair")


async def test_rows_and_checkpoint_are_kept_together_or_not_at_all(database: Database):
    collection = await make_collection(database)
    job = await create(database)
    lease = await claimed(database)

    async def batch(fails: bool) -> None:
        async with database.write() as unit:
            await unit.images.add(collection.pk, [new_image("a")])
            await unit.leases.checkpoint(lease, {"next": 1}, done=1)
            if fails:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        await batch(fails=True)
    before = await get(database, job.id)
    await batch(fails=False)
    await expire(database, lease)

    async with database.read() as unit:
        assert await unit.images.count(collection.pk) == 1
    assert before.done == 0
    assert (await get(database, job.id)).done == 1
    assert (await claimed(database)).checkpoint == {"next": 1}


async def test_only_attempts_without_a_checkpoint_count(database: Database):
    job = await create(database)
    strikes = []
    for attempt in range(7):
        lease = await claimed(database)
        strikes.append(lease.strikes)
        if attempt == 2:
            await checkpoint(database, lease)
        await expire(database, lease)
        if attempt == 5:
            break

    assert strikes == [0, 1, 2, 0, 1, 2]
    assert await claim(database) is None
    job = await get(database, job.id)
    assert (job.state, job.error_code) == (JobState.FAILED, "no_progress")


async def test_a_part_begins_with_the_rate_of_the_one_before(database: Database):
    job = await create(database)
    planner = await claimed(database)
    async with database.write() as unit:
        await unit.leases.split(planner, [{"start": 0}, {"start": 10}])
    await finish(database, planner)
    first = await claimed(database)
    await checkpoint(database, first, done=10, rate_per_s=2.5)
    await finish(database, first)
    assert (await get(database, job.id)).rate_per_s == 0.0

    await claimed(database)

    assert (await get(database, job.id)).rate_per_s == 2.5


async def test_a_part_given_back_is_claimed_again_without_blame(database: Database):
    await create(database)
    await release(database, await claimed(database))

    assert (await claimed(database)).strikes == 0


async def test_a_part_put_off_waits_for_its_time(database: Database):
    job = await create(database)

    await put_off(database, await claimed(database), wait_s=60)

    assert await claim(database) is None
    assert (await get(database, job.id)).error_code == "overloaded"


async def test_a_part_put_off_is_claimed_again_when_its_time_has_come(database: Database):
    await create(database)

    await put_off(database, await claimed(database), wait_s=-1)

    assert (await claimed(database)).strikes == 1


async def put_off(database: Database, lease: Lease, wait_s: float) -> None:
    async with database.write() as unit:
        await unit.leases.put_off(lease, wait_s=wait_s, code="overloaded", detail="later")


async def test_a_job_succeeds_with_its_last_part(database: Database):
    job = await create(database)
    planner = await claimed(database)
    async with database.write() as unit:
        await unit.leases.split(planner, [{"start": 0}, {"start": 10}])
        await unit.leases.checkpoint(planner, {}, total=20, phase="encoding")
    await finish(database, planner)
    first, second = await claimed(database, owner="w1"), await claimed(database, owner="w2")
    await checkpoint(database, first, done=10, rate_per_s=2.5)
    await checkpoint(database, second, done=9, rate_per_s=1.5)
    during = await get(database, job.id)

    await finish(database, first)
    between = await get(database, job.id)
    await finish(database, second)

    after = await get(database, job.id)
    assert [lease.part_arguments for lease in (first, second)] == [{"start": 0}, {"start": 10}]
    assert (during.done, during.total, during.phase, during.rate_per_s) == (19, 20, "encoding", 4.0)
    assert (between.state, after.state) == (JobState.RUNNING, JobState.SUCCEEDED)
    assert (after.result, after.rate_per_s) == ({"made": "it"}, 0.0)
    assert after.finished_at is not None


async def test_a_part_that_fails_fails_its_job_and_stops_the_others(database: Database):
    job = await create(database)
    planner = await claimed(database)
    async with database.write() as unit:
        await unit.leases.split(planner, [{}, {}, {}])
    await finish(database, planner)
    bad, other = await claimed(database), await claimed(database)

    await fail(database, bad)

    assert await checkpoint(database, other) is Request.CANCEL
    await release(database, other)
    assert await claim(database) is None
    job = await get(database, job.id)
    assert (job.state, job.error_code, job.error_detail) == ("failed", "broken", "beyond repair")


async def test_outcomes_are_kept_counted_and_paged(database: Database):
    job = await create(database)
    lease = await claimed(database)
    items = [JobItemRecord(i, ItemStatus.CREATED, f"{i}.png", f"id{i}") for i in range(6)]
    await checkpoint(database, lease, done=6, items=[*items[:3], failed_item(3), *items[4:]])
    await checkpoint(database, lease, done=1, items=[failed_item(9)])

    async with database.read() as unit:
        assert await unit.jobs.counts(job.id) == {ItemStatus.CREATED: 5, ItemStatus.FAILED: 2}
        assert await unit.jobs.items(job.id, limit=2) == items[:2]
        assert await unit.jobs.items(job.id, after=4) == [items[5], failed_item(9)]
        failed = await unit.jobs.items(job.id, status=ItemStatus.FAILED, after=3)
    assert failed == [failed_item(9)]


async def test_retrying_takes_up_the_failed_items_only(database: Database):
    job = await create(database)
    lease = await claimed(database)
    await checkpoint(database, lease, done=3, total=3, items=[failed_item(0), failed_item(2)])
    await finish(database, lease)

    async with database.write() as unit:
        retried = await unit.jobs.retry(job.id)
    again = await claimed(database)
    await checkpoint(database, again, done=2, items=[JobItemRecord(0, ItemStatus.CREATED, "0.png", "a")])
    await finish(database, again)

    after = await get(database, job.id)
    assert (retried.state, retried.done, retried.finished_at) == (JobState.QUEUED, 1, None)
    assert again.part_arguments == {"positions": [0, 2]}
    assert (after.state, after.done) == (JobState.SUCCEEDED, 3)
    async with database.read() as unit:
        assert await unit.jobs.counts(job.id) == {ItemStatus.CREATED: 1, ItemStatus.FAILED: 1}


@pytest.mark.parametrize("progress", [{"next": 2}, {"after": 1}])
async def test_a_retry_that_was_cancelled_counts_and_queues_each_failed_item_once(database: Database, progress):
    job = await create(database)
    lease = await claimed(database)
    await checkpoint(database, lease, done=3, total=3, items=[failed_item(position) for position in range(3)])
    await finish(database, lease)

    await steer(database, "retry", job.id)
    await steer(database, "cancel", job.id)
    retried = await steer(database, "retry", job.id)
    async with database.read() as unit:
        counted = await unit.jobs.counts(job.id)
    again = await claimed(database)
    async with database.write() as unit:
        await unit.leases.checkpoint(again, progress, done=2, items=[failed_item(0), failed_item(1)])
    await steer(database, "cancel", job.id)
    async with database.write() as unit:
        await unit.leases.release(again)
    half = await steer(database, "retry", job.id)
    parts = []
    while (part := await claim(database)) is not None:
        parts.append((part.part_arguments["positions"], part.checkpoint))
        await finish(database, part)

    assert (retried.done, progress_of(retried).percent, counted) == (0, 0.0, {ItemStatus.FAILED: 3})
    assert half.done == 0
    assert parts == [([0, 1, 2], progress), ([0, 1], {})]


async def test_giving_a_part_back_after_progress_brings_no_strikes_back(database: Database):
    await create(database)
    for _ in range(2):  # two workers that die
        await claimed(database, lease_s=-1)
    lease = await claimed(database)
    await checkpoint(database, lease)
    async with database.write() as unit:
        await unit.leases.release(lease)

    assert (lease.strikes, (await claimed(database)).strikes) == (2, 0)


async def test_giving_a_part_back_without_progress_counts_as_no_attempt(database: Database):
    await create(database)
    await claimed(database, lease_s=-1)
    lease = await claimed(database)
    async with database.write() as unit:
        await unit.leases.release(lease)

    assert (lease.strikes, (await claimed(database)).strikes) == (1, 1)


async def test_what_is_not_over_or_went_well_cannot_be_retried(database: Database):
    job = await create(database)
    with pytest.raises(JobNotResumable):
        await steer(database, "retry", job.id)
    await finish(database, await claimed(database))

    with pytest.raises(JobNotResumable):
        await steer(database, "retry", job.id)


async def steer(database: Database, verb: str, job_id: str) -> JobRecord:
    async with database.write() as unit:
        steered: JobRecord = await getattr(unit.jobs, verb)(job_id)
        return steered


async def test_a_waiting_job_is_paused_resumed_and_cancelled_at_once(database: Database):
    job = await create(database)

    assert (await steer(database, "pause", job.id)).state is JobState.PAUSED
    assert (await steer(database, "pause", job.id)).state is JobState.PAUSED
    assert await claim(database) is None
    assert (await steer(database, "resume", job.id)).state is JobState.QUEUED
    assert (await steer(database, "cancel", job.id)).state is JobState.CANCELLED
    assert await claim(database) is None
    with pytest.raises(JobNotCancellable):
        await steer(database, "cancel", job.id)
    for verb in ("pause", "resume"):
        with pytest.raises(JobNotResumable):
            await steer(database, verb, job.id)
    for verb in ("pause", "resume", "cancel", "retry"):
        with pytest.raises(UnknownJob):
            await steer(database, verb, "unknown")


@pytest.mark.parametrize(
    ("verb", "request_", "state"),
    [("pause", Request.PAUSE, JobState.PAUSED), ("cancel", Request.CANCEL, JobState.CANCELLED)],
)
async def test_a_running_job_stops_after_the_batch_in_hand(
    database: Database, verb: str, request_: Request, state: JobState
):
    job = await create(database)
    lease = await claimed(database)
    asked = await steer(database, verb, job.id)

    heard = await checkpoint(database, lease, 3)
    await release(database, lease)

    stopped = await get(database, job.id)
    assert (asked.state, asked.request, heard) == (JobState.RUNNING, request_, request_)
    assert (stopped.state, stopped.request) == (state, None)
    assert await claim(database) is None


async def test_a_job_asked_to_pause_may_change_its_mind(database: Database):
    job = await create(database)
    lease = await claimed(database)
    await steer(database, "pause", job.id)

    await steer(database, "resume", job.id)

    assert await checkpoint(database, lease) is None


async def test_a_paused_job_goes_on_from_its_checkpoint(database: Database):
    job = await create(database)
    lease = await claimed(database)
    await checkpoint(database, lease, 3)
    await steer(database, "pause", job.id)
    await release(database, lease)

    await steer(database, "resume", job.id)

    assert (await claimed(database)).checkpoint == {"next": 3}


async def test_a_job_whose_worker_died_can_still_be_cancelled(database: Database):
    first, second = await create(database), await create(database)
    dead = await claimed(database)
    await expire(database, dead)
    at_once = await steer(database, "cancel", first.id)
    dying = await claimed(database)
    await steer(database, "cancel", second.id)
    await expire(database, dying)

    assert await claim(database) is None

    assert at_once.state is JobState.CANCELLED
    assert (await get(database, second.id)).state is JobState.CANCELLED
    with pytest.raises(LeaseLost):
        await checkpoint(database, dying)


async def test_old_jobs_are_forgotten_with_all_that_is_theirs(database: Database):
    old, waiting = await create(database), await create(database)
    lease = await claimed(database)
    await checkpoint(database, lease, items=[failed_item(0)])
    await finish(database, lease)

    async with database.write() as unit:
        early = await unit.jobs.prune(datetime.now(UTC) - timedelta(hours=1))
        late = await unit.jobs.prune(datetime.now(UTC) + timedelta(hours=1))

    async with database.read() as unit:
        assert [job.id for job in await unit.jobs.page()] == [waiting.id]
        assert await unit.jobs.items(old.id) == []
    assert (early, late) == ([], [old.id])


async def test_a_heartbeat_waits_for_no_turn_on_postgres(postgres_url: str):
    database = Database.open(postgres_url, busy_timeout_s=1)
    await create(database)
    lease = await claimed(database, lease_s=-1)

    async with database.write():
        # The writer's turn is taken. A renewal that waited for it would fail after a second.
        await renew(database, lease)

    # The lease had run out, and nobody else is given what was renewed.
    assert await claim(database, "w2") is None
    await database.close()


async def test_a_part_of_a_dead_worker_is_free_soon_after_the_clock_was_set_back(database: Database):
    await create(database)
    ahead = await claimed(database, lease_s=3600 + 10)  # as if taken with the clock an hour ahead

    assert await claim(database, "w2", lease_s=0.2) is None
    taken = await claimed_soon(database, "w2", lease_s=0.2)

    assert (taken.job_id, taken.attempt) == (ahead.job_id, ahead.attempt + 1)
    with pytest.raises(LeaseLost):
        await checkpoint(database, ahead)


async def test_a_living_worker_keeps_its_part_when_the_clock_is_set_back(database: Database):
    await create(database)
    lease = await claimed(database, lease_s=3600 + 10)

    assert await claim(database, "w2", lease_s=5) is None
    async with database.write() as unit:
        await unit.leases.renew(lease, 5)

    assert await claim(database, "w2", lease_s=5) is None
    await checkpoint(database, lease)


async def test_a_part_put_off_by_a_clock_ahead_is_free_soon(database: Database):
    await create(database)
    lease = await claimed(database)
    async with database.write() as unit:
        await unit.leases.put_off(lease, wait_s=3600, code="x", detail="x")

    assert await claim(database, lease_s=0.2) is None

    await claimed_soon(database)
