"""Queries go ahead of other work that waits for the same places."""

import asyncio

import pytest

from app.services.pictures import turns
from app.services.pictures.turns import Turns

pytestmark = pytest.mark.anyio


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Work:
    """Takes turns by name, each until it is told to end."""

    def __init__(self, places: int) -> None:
        self.turns = Turns(places)
        self.running = []
        self._ends = {}

    def start(self, name: str, *, is_query: bool) -> asyncio.Task:
        self._ends[name] = asyncio.Event()
        return asyncio.create_task(self._run(name, is_query))

    async def _run(self, name: str, is_query: bool) -> None:
        async with self.turns.take(is_query=is_query):
            self.running.append(name)
            try:
                await self._ends[name].wait()
            finally:
                self.running.remove(name)

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settled()


async def test_queries_go_first_and_each_kind_in_its_order():
    work = Work(1)
    for name in ("index 1", "query 1", "index 2", "query 2"):
        work.start(name, is_query=name.startswith("query"))
        await settled()
    assert work.running == ["index 1", "query 1"]
    await work.end("query 1")
    assert work.running == ["index 1", "query 2"]
    await work.end("index 1")
    assert work.running == ["query 2", "index 2"]
    await work.end("query 2")
    await work.end("index 2")
    assert work.running == []


async def test_as_many_run_as_there_are_places():
    work = Work(2)
    for i in range(4):
        work.start(str(i), is_query=False)
    await settled()
    assert work.running == ["0", "1"]
    await work.end("1")
    assert work.running == ["0", "2"]


async def test_who_is_cancelled_while_waiting_or_just_after_loses_no_place():
    work = Work(1)
    work.start("first", is_query=False)
    await settled()
    waiting = [work.start(f"waiting {i}", is_query=False) for i in range(3)]
    await settled()
    waiting[0].cancel()
    await settled()
    # The place goes to the second, who is cancelled before it runs.
    work._ends["first"].set()
    while work.running:  # noqa: ASYNC110 - until the place has changed hands
        await asyncio.sleep(0)
    waiting[1].cancel()
    await settled()
    assert work.running == ["waiting 2"]
    await work.end("waiting 2")
    work.start("last", is_query=False)
    await settled()
    assert work.running == ["last"]


async def test_while_queries_come_in_other_work_leaves_one_place_free(monkeypatch):
    work = Work(2)
    work.start("query 1", is_query=True)
    await settled()
    await work.end("query 1")
    for i in range(2):
        work.start(f"index {i}", is_query=False)
    await settled()
    assert work.running == ["index 0"]
    work.start("query 2", is_query=True)
    await settled()
    assert work.running == ["index 0", "query 2"]
    await work.end("query 2")
    assert work.running == ["index 0"]

    monkeypatch.setattr(turns, "RECENT_S", 0.0)
    await work.end("index 0")
    work.start("index 2", is_query=False)
    await settled()
    assert work.running == ["index 1", "index 2"]


@pytest.mark.parametrize("places", [1, 2, 3])
@pytest.mark.parametrize("is_query", [True, False])
async def test_neither_kind_takes_the_last_place_from_the_other(places, is_query):
    work = Work(places)
    for i in range(5):
        work.start(f"first {i}", is_query=is_query)
        await settled()
    assert len(work.running) == places

    work.start("other", is_query=not is_query)
    await settled()

    assert work.running[-1] == "other"
