"""What has served its time is removed by one process, a bounded amount of work at a time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from app.domain.access import Scope
from app.domain.errors import DatabaseUnavailable, StorageUnavailable
from app.services.access.keyring import Keyring
from app.services.access.keys import Keys, Rights
from app.services.operations.feed_pruning import FeedPruning
from app.services.operations.retention import Chore, Retention
from app.store.access.keys import KeyWriter
from app.store.pictures.feed import FeedPruned
from tests.integration.store.pictures import add, make_collection, new_image

pytestmark = pytest.mark.anyio


class Counted:
    """A chore's work: counts its turns, and says or raises what it is told to."""

    def __init__(self, *outcomes: bool | Exception) -> None:
        self.outcomes = list(outcomes)
        self.turns = 0

    async def __call__(self) -> bool:
        self.turns += 1
        outcome = self.outcomes.pop(0) if self.outcomes else False
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def list_processes(database, *process_ids):
    for process_id in process_ids:
        async with database.write() as unit:
            await unit.processes.register(process_id, kind="api", host="h", pid=1)
        await asyncio.sleep(0.002)


async def test_one_process_does_what_is_shared_and_each_what_is_local(database):
    await list_processes(database, "a", "b")
    turns = {}
    for process in ("b", "a"):
        shared, local = Counted(), Counted()
        chores = [Chore("shared", shared, 60), Chore("local", local, 60, is_local=True)]
        await Retention(database, chores, process_id=process).turn()
        turns[process] = (shared.turns, local.turns)

    assert turns == {"a": (1, 1), "b": (0, 1)}


async def test_the_next_process_takes_over_from_one_that_is_gone(database):
    await list_processes(database, "a", "b")
    work = Counted()
    retention = Retention(database, [Chore("shared", work, 0)], process_id="b")
    await retention.turn()
    before = work.turns
    async with database.write() as unit:
        await unit.processes.remove("a")

    await retention.turn()

    assert (before, work.turns) == (0, 1)


async def test_a_chore_that_is_not_done_goes_on_soon_and_one_that_is_waits(database):
    await list_processes(database, "a")
    busy, idle = Counted(True, True, False), Counted()
    retention = Retention(database, [Chore("busy", busy, 3600), Chore("idle", idle, 3600)], process_id="a")

    waits = []
    for _ in range(3):
        waits.append(await retention.turn())
        await asyncio.sleep(waits[-1] if waits[-1] < 60 else 0)

    assert (busy.turns, idle.turns) == (3, 1)
    assert [wait < 60 for wait in waits] == [True, True, False]


async def test_a_chore_that_fails_keeps_no_other_from_its_turn(database):
    await list_processes(database, "a")
    away, broken, well = Counted(StorageUnavailable("away")), Counted(KeyError("x")), Counted()
    chores = [Chore("away", away, 60), Chore("broken", broken, 60), Chore("well", well, 60)]

    with capture_logs() as logs:
        await Retention(database, chores, process_id="a").turn()

    assert [(log["event"], log["chore"]) for log in logs] == [
        ("retention_failed", "away"),
        ("retention_crashed", "broken"),
    ]
    assert well.turns == 1


async def test_the_feed_is_pruned_behind_its_slowest_reader_only(database):
    collection = await make_collection(database)
    numbers = await add(database, collection, *(new_image(f"{i}") for i in range(20)))
    async with database.write() as unit:
        for process, reached in (("quick", numbers[-1]), ("slow", numbers[9])):
            await unit.processes.register(process, kind="api", host="h", pid=1, reached_change=reached)
        await unit.processes.register("worker", kind="worker", host="h", pid=1)

    assert not await FeedPruning(database, kept=3).prune()

    async with database.read() as unit:
        slow = await unit.feed.since(numbers[6])
        with pytest.raises(FeedPruned):
            await unit.feed.since(numbers[5])
    assert [change.number for change in slow] == numbers[7:]


async def test_a_short_feed_is_left_alone(database):
    collection = await make_collection(database)
    await add(database, collection, new_image("a"))

    assert not await FeedPruning(database).prune()

    async with database.read() as unit:
        assert len(await unit.feed.since(0)) == 3


async def test_the_last_use_of_a_key_is_written_also_after_an_outage(database, monkeypatch):
    class Feed:
        keys_version = 1

    made = await Keys(database).create("phone", Rights(Scope.SEARCH))
    unused = await Keys(database).create("other", Rights(Scope.SEARCH))
    keyring = Keyring(database, Feed())
    await keyring.refresh()
    real = KeyWriter.touch

    async def away(self, ids):
        raise DatabaseUnavailable

    keyring.note_use(keyring.find(made.text))
    monkeypatch.setattr(KeyWriter, "touch", away)
    with pytest.raises(DatabaseUnavailable):
        await keyring.write_uses()
    monkeypatch.setattr(KeyWriter, "touch", real)
    await keyring.write_uses()

    used = {key.id: key.last_used_at for key in await Keys(database).list()}
    assert datetime.now(UTC) - used[made.record.id] < timedelta(minutes=5)
    assert used[unused.record.id] is None
