"""A job that starts over counts its steps once, and does not start over for ever."""

import asyncio

import pytest

from app.domain.jobs import JobState
from app.jobs.leases import HeldPart
from app.jobs.steps import RepeatedSteps
from app.store.engine import Database
from app.worker.handlers import train
from tests.integration.jobs.test_leases import claim, create, get

pytestmark = pytest.mark.anyio

EXPIRED_S = -1
"""Length of the lease of a worker that dies at once."""


async def attempt(database: Database, *steps: int, total: int = 9) -> bool:
    """Take up the job, do these steps and die; return whether there was a job."""
    lease = await claim(database, lease_s=EXPIRED_S, max_strikes=3)
    if lease is None:
        return False
    counter = RepeatedSteps(HeldPart(database, lease, lease_s=EXPIRED_S, batch_deadline_s=60))
    for count in steps:
        await counter.add(count, total, "reading")
    return True


async def test_a_job_that_kills_its_workers_at_one_step_fails(database: Database):
    job = await create(database)

    attempts = [await attempt(database, 4, 3) for _ in range(5)]

    ended = await get(database, job.id)
    # The first attempt gets farther than none before; three others do not.
    assert attempts == [True] * 4 + [False]
    assert (ended.state, ended.error_code) == (JobState.FAILED, "no_progress")
    assert (ended.done, ended.total) == (7, 9)


async def test_a_job_that_gets_farther_each_time_goes_on(database: Database):
    job = await create(database)

    attempts = [await attempt(database, 4, 3, *[1] * i) for i in range(5)]
    await attempt(database, 4, total=4)

    left = await get(database, job.id)
    assert attempts == [True] * 5
    assert (left.done, left.total) == (11, 11)


async def test_a_training_that_kills_its_workers_before_the_next_epoch_fails(database: Database, tmp_path):
    job = await create(database)

    async def train_and_die(figures: dict[str, int] | None) -> bool:
        lease = await claim(database, lease_s=EXPIRED_S, max_strikes=3)
        if lease is None:
            return False
        part = HeldPart(database, lease, lease_s=EXPIRED_S, batch_deadline_s=60)
        training = train._Running(None, part, asyncio.get_running_loop(), tmp_path)
        await training._save("reading pictures: 100")
        if figures is not None:
            training.epochs = [figures]
            await training._save("training", done=1, total=9)
        return True

    attempts = [await train_and_die(figures) for figures in (None, None, {"epoch": 1}, *[None] * 4)]

    ended = await get(database, job.id)
    assert attempts == [True] * 6 + [False]
    assert (ended.state, ended.error_code, ended.done) == (JobState.FAILED, "no_progress", 1)
