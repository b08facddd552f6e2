"""The feeder writes every change once, whatever kills it; indexes add what it has not written yet."""

import numpy as np
import pytest

from app.domain.errors import IndexUnavailable
from app.remote import journal
from app.remote.connection import EngineConnection
from app.remote.journal import Journal, JournalEntry
from app.remote.writer import Writer
from app.services.index_sync import engine_feeder
from app.services.index_sync.engine_feeder import EngineFeeder
from app.services.index_sync.remote_indexes import RemoteIndexes
from tests.fixtures.engine import engine, engine_address, engine_url  # noqa: F401
from tests.integration.services.index_sync.feeding import (  # noqa: F401
    DIGEST,
    ODD,
    assert_holds_the_database,
    catch_up,
    change_something,
    collection,
    database,
    feed,
    load,
    make_feeder,
)
from tests.integration.store.pictures import add, new_image

pytestmark = pytest.mark.anyio


class FailingConnection(EngineConnection):
    """Fails at the n-th insert, before or after the engine has done it, as a killed process would."""

    inserts_left: int | None = None
    fails_after = False

    def insert(self, table, columns, *, token=None) -> None:
        if self.inserts_left is not None:
            self.inserts_left -= 1
            if self.inserts_left < 0:
                if self.fails_after:
                    super().insert(table, columns, token=token)
                raise IndexUnavailable("killed")
        super().insert(table, columns, token=token)


@pytest.fixture
def connection(engine) -> EngineConnection:  # noqa: F811
    return FailingConnection(engine.address)


async def test_nothing_is_lost_or_written_twice_by_a_feeder_that_fails_at_an_insert(
    database,  # noqa: F811
    collection,  # noqa: F811
    connection,
):
    rng = np.random.default_rng(5)
    first = make_feeder(database, connection)
    await feed(first)
    await first.close()
    live = await load(database, connection, collection)
    for step in range(10):
        await change_something(database, collection, rng, step)
        feeder = make_feeder(database, connection)
        connection.inserts_left, connection.fails_after = int(rng.integers(0, 4)), bool(rng.integers(2))
        try:
            await feed(feeder)
        except IndexUnavailable:
            connection.inserts_left = None
        connection.inserts_left = None
        # The lease of the killed process expires.
        await feeder.close()
        await catch_up(database, live)
        if step % 5 == 4:
            await assert_holds_the_database(database, live)
            await assert_holds_the_database(database, await load(database, connection, collection))
    await feed(make_feeder(database, connection))
    await RemoteIndexes(database, connection).follow(live.remote_indexes, lambda: live.index.view().version)
    assert live.index.newer_numbers() == []
    await assert_holds_the_database(database, live)
    # Not found by fewer rows than there are: no row was inserted twice.
    rows = connection.query(f"SELECT count(), uniqExact(number, added) FROM {connection.database}.codes_1")
    assert rows[0][0] == rows[0][1]


async def test_only_the_holder_of_the_lease_writes(database, collection, connection):  # noqa: F811
    first, second = make_feeder(database, connection), make_feeder(database, connection)
    await feed(first)
    await add(database, collection, new_image("a"))
    written = Journal(connection)
    owner = await RemoteIndexes(database, connection).owner_of(collection, DIGEST)
    before = written.progress(owner)
    await feed(second)
    assert written.progress(owner) == before
    await first.close()
    await feed(second)
    assert written.progress(owner).published > before.published
    await assert_holds_the_database(database, await load(database, connection, collection))


async def test_two_feeders_that_both_believe_to_hold_the_lease_write_nothing_twice(
    database,  # noqa: F811
    collection,  # noqa: F811
    connection,
    monkeypatch,
):
    first, second = make_feeder(database, connection), make_feeder(database, connection)
    await feed(first)
    monkeypatch.setattr(EngineFeeder, "_holds_lease", _always)
    for step in range(4):
        await add(database, collection, *(new_image(f"p{step}-{i}") for i in range(5)))
        await feed(first)
        await feed(second)
    await assert_holds_the_database(database, await load(database, connection, collection))


async def _always(self) -> bool:
    return True


async def test_a_faulty_generation_is_written_again_beside_the_old_one(database, collection, connection):  # noqa: F811
    await add(database, collection, *(new_image(f"p{i}") for i in range(30)))
    feeder = make_feeder(database, connection)
    await feed(feeder)
    live = await load(database, connection, collection)
    written, index = Journal(connection), live.index
    progress = written.progress(index.owner)
    written.write(progress.generation, JournalEntry.REFILL, 0, 0)
    await feeder.close()
    await feed(make_feeder(database, connection))
    assert written.progress(index.owner).generation.id > progress.generation.id
    await assert_holds_the_database(database, live)  # of the old generation
    await RemoteIndexes(database, connection).follow([index], lambda: index.view().version)
    await assert_holds_the_database(database, live)


async def test_a_fill_is_continued_where_it_ended(database, collection, connection, monkeypatch):  # noqa: F811
    monkeypatch.setattr(engine_feeder, "FILL_BATCH", 7)
    await add(database, collection, *(new_image(f"p{i}") for i in range(30)))
    connection.inserts_left = 4
    first = make_feeder(database, connection)
    with pytest.raises(IndexUnavailable):
        await feed(first)
    connection.inserts_left = None
    await first.close()
    owner = await RemoteIndexes(database, connection).owner_of(collection, DIGEST)
    begun = Journal(connection).progress(owner).generation
    await add(database, collection, new_image("later"))
    await feed(make_feeder(database, connection))
    assert Journal(connection).progress(owner).generation == begun
    await assert_holds_the_database(database, await load(database, connection, collection))


async def test_rows_that_no_reader_needs_are_compacted(database, collection, connection, monkeypatch):  # noqa: F811
    monkeypatch.setattr(engine_feeder, "COMPACT_FROM", 1)
    monkeypatch.setattr(journal, "SETTLED_S", 0)
    numbers = await add(database, collection, *(new_image(f"p{i}") for i in range(10)))
    feeder = make_feeder(database, connection)
    await feed(feeder)
    async with database.write() as unit:
        await unit.images.delete(collection.pk, numbers[:4])
        await unit.processes.register("one", kind="api", host="h", pid=1, reached_change=10**6)
    await feed(feeder)
    feeder._tidy_at = 0.0
    await feed(feeder)
    assert connection.query(f"SELECT count() FROM {connection.database}.codes_1") == [(6,)]
    assert connection.query(f"SELECT count() FROM {connection.database}.gone") == [(0,)]
    await assert_holds_the_database(database, await load(database, connection, collection))


async def test_changes_are_fed_while_compaction_exceeds_the_deadline(
    database,  # noqa: F811
    collection,  # noqa: F811
    connection,
    monkeypatch,
):
    def exceed(*_: object) -> None:
        raise IndexUnavailable("it exceeded the deadline")

    monkeypatch.setattr(engine_feeder, "COMPACT_FROM", 0)
    monkeypatch.setattr(journal, "SETTLED_S", 0)
    monkeypatch.setattr(Writer, "compact", exceed)
    feeder = make_feeder(database, connection)
    async with database.write() as unit:
        await unit.processes.register("one", kind="api", host="h", pid=1, reached_change=10**6)
    for step in range(3):
        await add(database, collection, new_image(f"p{step}"))
        feeder._tidy_at = 0.0
        await feed(feeder)
    await assert_holds_the_database(database, await load(database, connection, collection))


async def test_rows_of_a_deleted_collection_are_dropped(database, collection, connection):  # noqa: F811
    await add(database, collection, *(new_image(f"p{i}") for i in range(10)))
    feeder = make_feeder(database, connection)
    await feed(feeder)
    async with database.write() as unit:
        await unit.collections.delete(collection.pk)
    # The next turn tidies, since no later one looks at an engine without collections.
    await feed(feeder)
    assert connection.query(f"SELECT count() FROM {connection.database}.codes_1") == [(0,)]
    assert await feeder.turn() is None


async def test_filters_cover_what_the_engine_has_and_what_it_lacks(database, collection, connection):  # noqa: F811
    rng = np.random.default_rng(8)
    feeder = make_feeder(database, connection)
    await change_something(database, collection, rng, 0)
    await feed(feeder)
    live = await load(database, connection, collection)
    live.filters[ODD.key] = ODD
    live.index.put_filter(ODD, np.empty(0, np.int64), live.index.view().version)
    for step in range(1, 5):
        await change_something(database, collection, rng, step)
        await catch_up(database, live)
        await assert_holds_the_database(database, live)


async def test_codes_that_differ_from_the_database_are_not_served_and_written_again(
    database,  # noqa: F811
    collection,  # noqa: F811
    connection,
):
    numbers = await add(database, collection, *(new_image(f"p{i}") for i in range(30)))
    feeder = make_feeder(database, connection)
    await feed(feeder)
    connection.command(
        f"ALTER TABLE {connection.database}.codes_1 DELETE WHERE number = {numbers[7]}", {"mutations_sync": 2}
    )
    with pytest.raises(IndexUnavailable):
        await load(database, connection, collection)
    await feeder.close()
    await feed(make_feeder(database, connection))
    await assert_holds_the_database(database, await load(database, connection, collection))
