"""A worker makes itself known, does jobs with the handlers it has, and tidies up."""

import asyncio
import sys
from datetime import timedelta
from typing import Any

import pytest

from app.bootstrap import open_worker
from app.domain.jobs import JobKind, JobState
from app.jobs.runner import Runner
from app.services.job_control.heartbeats import Heartbeats
from app.services.job_control.tidying import JobTidying
from app.services.supervision import Supervisor
from app.settings import Settings
from app.store.engine import Database
from app.worker.handlers import make_handlers
from app.worker.loop import work

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path, database_url) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        decode_children=1,
        job_poll_s=0.02,
    )


async def until(claim, looks: int = 2000) -> Any:
    """The first true value of ``claim()``."""
    for _ in range(looks):
        if value := await claim():
            return value
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about in time")


async def test_a_worker_does_a_job_and_ends_when_it_is_told(settings):
    stop = asyncio.Event()

    async def handle(part) -> dict[str, Any]:
        async with part.batch() as batch:
            batch.save({}, done=1)
        return {"answer": 42}

    async with open_worker(settings) as services:
        job_id = (await services.jobs.start(JobKind.VERIFY, {})).record.id
        working = asyncio.create_task(work(services, stop, factories={JobKind.VERIFY: lambda _: handle}))

        async def is_over():
            view = await services.jobs.get(job_id)
            return view if view.is_over else None

        view = await until(is_over)
        async with services.database.read() as unit:
            [process] = await unit.processes.list()
        stop.set()
        await working

        assert (view.record.state, view.record.result) == (JobState.SUCCEEDED, {"answer": 42})
        assert (process.kind, process.reached_change) == ("worker", None)
        async with services.database.read() as unit:
            assert await unit.processes.list() == []


async def test_following_a_job_ends_with_it(settings):
    async with open_worker(settings) as services:
        job_id = (await services.jobs.start(JobKind.VERIFY, {})).record.id
        seen = []

        async for view in services.jobs.follow(job_id):
            if view is not None:
                seen.append(view.record.state)
            if len(seen) == 1 and view is not None:
                await services.jobs.cancel(job_id)

        assert seen == [JobState.QUEUED, JobState.CANCELLED]


def test_a_worker_offers_only_what_it_can_do():
    async def handle(part) -> None: ...

    made = make_handlers(None, {JobKind.TRAIN: lambda _: None, JobKind.VERIFY: lambda _: handle})

    assert made == {JobKind.VERIFY: handle}


async def test_a_worker_without_torch_ends_a_training_unless_another_can_do_it(settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # what an environment without it looks like
    stop = asyncio.Event()
    async with open_worker(settings) as services:
        async with services.database.write() as unit:
            await unit.processes.register("able", kind="worker", host="h", pid=1, training_lacks="")
        train = (await services.jobs.start(JobKind.TRAIN, {"name": "mine"})).record.id
        other = (await services.jobs.start(JobKind.VERIFY, {"repair": False, "deep": False})).record.id
        working = asyncio.create_task(work(services, stop))

        async def is_over(job_id):
            view = await services.jobs.get(job_id)
            return view if view.is_over else None

        await until(lambda: is_over(other))
        left = await services.jobs.get(train)
        async with services.database.write() as unit:
            await unit.processes.remove("able")
        ended = await until(lambda: is_over(train))
        stop.set()
        await working

    assert (left.record.state, ended.record.state) == (JobState.QUEUED, JobState.FAILED)
    assert ended.record.error_code == "training_not_installed"
    assert "torch" in ended.record.error_detail
    assert "make train-deps" in ended.record.error_detail


async def test_old_jobs_and_silent_processes_are_forgotten(database: Database):
    async with database.write() as unit:
        old = await unit.jobs.create("index", {})
        await unit.jobs.cancel(old.id)
        young = await unit.jobs.create("index", {})
        await unit.processes.register("silent", kind="api", host="h", pid=1)

    assert await JobTidying(database, retention=timedelta(days=1)).tidy() == 0
    assert await JobTidying(database, retention=timedelta(seconds=-1)).tidy() == 1

    async with database.read() as unit:
        assert [job.id for job in await unit.jobs.page()] == [young.id]


async def test_a_process_taken_for_dead_makes_itself_known_again(database: Database, monkeypatch):
    monkeypatch.setattr("app.services.job_control.heartbeats.HEARTBEAT_S", 0.01)
    supervisor = Supervisor()
    async with Heartbeats(database, supervisor, "api", reached_change=lambda: 7) as heartbeats:
        async with database.write() as unit:
            await unit.processes.remove(heartbeats.id)

        async def is_back():
            async with database.read() as unit:
                return [p for p in await unit.processes.list() if p.reached_change == 7]

        [process] = await until(is_back)
        assert process.id == heartbeats.id


async def test_a_process_goes_on_beating_after_an_unexpected_error(database: Database, monkeypatch):
    monkeypatch.setattr("app.services.job_control.heartbeats.HEARTBEAT_S", 0.01)
    monkeypatch.setattr("app.services.supervision.FIRST_PAUSE_S", 0.01)
    asked = []

    def reached_change() -> int:
        asked.append(None)
        if len(asked) == 1:
            raise RuntimeError("a defect")
        return 7

    async with Heartbeats(database, Supervisor(), "api", reached_change=reached_change):

        async def has_beaten():
            async with database.read() as unit:
                return [p for p in await unit.processes.list() if p.reached_change == 7]

        assert await until(has_beaten)


async def test_a_worker_survives_an_unexpected_error_of_its_runner(settings, monkeypatch):
    monkeypatch.setattr("app.services.supervision.FIRST_PAUSE_S", 0.01)
    stop, failed = asyncio.Event(), []
    real = Runner.run_one

    async def run_one(self) -> bool:
        if not failed:
            failed.append(None)
            raise RuntimeError("a defect")
        return await real(self)

    async def handle(part) -> None: ...

    monkeypatch.setattr(Runner, "run_one", run_one)
    async with open_worker(settings) as services:
        job_id = (await services.jobs.start(JobKind.VERIFY, {})).record.id
        working = asyncio.create_task(work(services, stop, factories={JobKind.VERIFY: lambda _: handle}))

        async def is_over():
            view = await services.jobs.get(job_id)
            return view if view.is_over else None

        assert (await until(is_over)).record.state is JobState.SUCCEEDED
        stop.set()
        await working
