"""Which processes live, how far they are, and what they can serve."""

import pytest

from app.domain.processes import ProcessModelReport
from app.store.engine import Database

pytestmark = pytest.mark.anyio


async def register(database: Database, *process_ids: str, reached: int | None = None) -> None:
    async with database.write() as unit:
        for process_id in process_ids:
            await unit.processes.register(process_id, kind="api", host="here", pid=1, reached_change=reached)


async def test_processes_come_and_go(database: Database):
    await register(database, "a", "b")

    async with database.sign_of_life() as unit:
        alive = await unit.processes.beat("a", reached_change=7)
        unknown = await unit.processes.beat("c")
    async with database.write() as unit:
        await unit.processes.remove("b")

    async with database.read() as unit:
        [process] = await unit.processes.list()
    assert (alive, unknown) == (True, False)
    assert (process.id, process.kind, process.host, process.pid, process.reached_change) == (
        "a",
        "api",
        "here",
        1,
        7,
    )


async def test_silent_processes_are_given_up(database: Database):
    await register(database, "a")

    async with database.write() as unit:
        await unit.processes.report_models("a", [ProcessModelReport(1, "m", is_ready=True)])
        recent = await unit.processes.evict_silent(60)
        silent = await unit.processes.evict_silent(-60)

    async with database.sign_of_life() as unit:
        assert not await unit.processes.beat("a", reached_change=1)
    assert (recent, silent) == ([], ["a"])


async def test_the_slowest_index_says_what_the_feed_must_keep(database: Database):
    async with database.read() as unit:
        none = await unit.processes.slowest_change()
    await register(database, "a", "b", "worker without an index")
    async with database.sign_of_life() as unit:
        await unit.processes.beat("a", reached_change=7)
        await unit.processes.beat("b", reached_change=5)

    async with database.read() as unit:
        assert await unit.processes.slowest_change() == 5
    assert none is None


async def test_each_process_says_whether_it_can_serve_a_collection_under_a_model(database: Database):
    await register(database, "ready", "refused", "silent", reached=3)

    async with database.write() as unit:
        await unit.processes.register("worker", kind="worker", host="here", pid=2)
        await unit.processes.report_models(
            "ready", [ProcessModelReport(1, "m", is_ready=False, detail="fetching")]
        )
        await unit.processes.report_models("ready", [ProcessModelReport(1, "m", is_ready=True)])
        await unit.processes.report_models(
            "refused", [ProcessModelReport(1, "m", is_ready=False, detail="damaged")]
        )
        await unit.processes.report_models(
            "silent", [ProcessModelReport(1, "other", is_ready=True), ProcessModelReport(2, "m", is_ready=True)]
        )

    async with database.read() as unit:
        readiness = await unit.processes.readiness(1, "m")
    # The worker has no indexes, so nobody waits for it.
    assert {said.id: (said.is_ready, said.detail) for said in readiness} == {
        "ready": (True, None),
        "refused": (False, "damaged"),
        "silent": (None, None),
    }
