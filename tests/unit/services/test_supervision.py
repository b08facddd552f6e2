"""A background task that fails is logged, counted and restarted."""

import asyncio
import gc
import warnings

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from app.domain.errors import DatabaseUnavailable
from app.services import supervision
from app.services.supervision import Supervisor

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(supervision, "LONGEST_PAUSE_S", 0.004)


@pytest.fixture
async def supervisor():
    made = Supervisor()
    yield made
    await made.close()


def failing(name: str) -> float:
    return REGISTRY.get_sample_value("lookalike_background_tasks_failing", {"task": name}) or 0.0


def failures(name: str) -> float:
    return REGISTRY.get_sample_value("lookalike_background_failures_total", {"task": name}) or 0.0


async def test_a_task_is_restarted_until_it_is_done(supervisor):
    attempts = []

    async def work():
        attempts.append(len(attempts))
        if len(attempts) < 3:
            raise RuntimeError("boom")

    # The registry is the process's: other tests run tasks of this name too.
    before = failures("load")
    with capture_logs() as logs:
        await supervisor.run("load", work).wait()

    assert attempts == [0, 1, 2]
    assert [log["event"] for log in logs] == [
        "background_task_crashed",
        "background_task_crashed",
        "background_task_recovered",
    ]
    assert failures("load") == before + 2
    assert failing("load") == 0


async def test_a_repeated_task_survives_any_error_and_reports_it(supervisor):
    outcomes = [None, KeyError("secret"), DatabaseUnavailable("locked"), None]
    failures = []
    over = asyncio.Event()

    async def turn():
        failures.append((task.failure, failing("follow")))
        if not outcomes:
            over.set()
        elif (outcome := outcomes.pop(0)) is not None:
            raise outcome

    with capture_logs() as logs:
        task = supervisor.repeat("follow", turn, every_s=0.001)
        await asyncio.wait_for(over.wait(), 10)

    crashed = "an error of type KeyError; see the log"
    assert failures[:5] == [(None, 0), (None, 0), (crashed, 1), ("locked", 1), (None, 0)]
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("background_task_crashed", "error"),
        ("background_task_failed", "warning"),
        ("background_task_recovered", "info"),
    ]


async def test_a_task_that_is_woken_does_not_wait_for_its_interval(supervisor):
    turns = asyncio.Queue()

    async def turn():
        turns.put_nowait(None)

    task = supervisor.repeat("build", turn, every_s=None, at_once=False)
    await asyncio.sleep(0)
    assert turns.empty()

    task.wake()
    await asyncio.wait_for(turns.get(), 10)
    task.wake()
    await asyncio.wait_for(turns.get(), 10)


async def test_a_turn_returns_when_the_next_one_is_due(supervisor):
    turns = []
    third = asyncio.Event()

    async def turn():
        turns.append(None)
        if len(turns) == 3:
            third.set()
        return 0.0

    supervisor.repeat("retain", turn, every_s=3600)

    await asyncio.wait_for(third.wait(), 10)

    # The turn's word counts, not the hour of the task.
    assert len(turns) >= 3


async def test_a_stopped_task_finishes_its_turn_only_if_allowed(supervisor):
    finished = []

    async def quick():
        await asyncio.sleep(0.02)
        finished.append("keep")

    async def endless():
        await asyncio.sleep(3600)
        finished.append("beat")

    finishing = supervisor.repeat("keep", quick, every_s=3600, finishes_turn=True)
    cancelled = supervisor.repeat("beat", endless, every_s=3600)
    await asyncio.sleep(0)

    await finishing.stop()
    await asyncio.wait_for(cancelled.stop(), 10)

    assert finished == ["keep"]


async def test_a_task_with_on_stop_stops_even_between_two_attempts(monkeypatch):
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 3600.0)
    supervisor, tried, asked = Supervisor(), asyncio.Event(), []

    async def work():
        tried.set()
        raise RuntimeError("boom")

    supervisor.run("job runner", work, stop=lambda: asked.append(True))
    await tried.wait()
    await asyncio.wait_for(supervisor.close(), 10)

    assert asked == [True]
    assert failing("job runner") == 0


async def test_a_task_that_is_stopped_before_its_first_step_leaves_no_coroutine(supervisor):
    async def turn(): ...

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await supervisor.repeat("keep", turn, every_s=3600).stop()
        await supervisor.run("load", turn).stop()
        gc.collect()

    assert [str(one.message) for one in caught if "never awaited" in str(one.message)] == []
