"""A unit of work keeps everything or nothing, reads one moment, and waits only so long."""

import asyncio
import threading
from contextlib import AsyncExitStack

import psycopg
import pytest
import sqlalchemy as sa

from app.domain.errors import DatabaseUnavailable, IdExists, StorageFull
from app.store.engine import Database
from tests.integration.store.pictures import MODEL, add, make_collection, new_image, register_model

pytestmark = pytest.mark.anyio


class Interrupted(Exception):
    pass


async def test_what_fails_leaves_nothing(database: Database):
    collection = await make_collection(database)
    [number] = await add(database, collection, new_image("a", metadata={"k": 1}))
    async with database.read() as unit:
        before = await unit.feed.latest()
        image = await unit.images.get(collection.pk, "a")

    async def write_and_fail() -> None:
        async with database.write() as unit:
            await unit.images.patch(collection.pk, number, metadata={"k": 2}, uri=None)
            await unit.images.add(collection.pk, [new_image("b")])
            await unit.keys.create(key_id="k", name="", prefix="", secret_hash="", scope="admin")
            await unit.collections.create("new", model=MODEL, keeps="copies")
            raise Interrupted

    with pytest.raises(Interrupted):
        await write_and_fail()

    async with database.read() as unit:
        assert await unit.feed.latest() == before
        assert await unit.feed.since(before) == []
        assert await unit.images.get(collection.pk, "a") == image
        assert await unit.images.count(collection.pk) == 1
        assert await unit.keys.list() == []
        assert await unit.collections.get("new") is None
        numbers, _ = await unit.images.load_codes(collection.pk, MODEL, 16)
        assert numbers.tolist() == [number]


async def test_a_cancelled_write_leaves_nothing_and_the_next_one_works(database: Database):
    collection = await make_collection(database)
    entered = asyncio.Event()

    async def write() -> None:
        async with database.write() as unit:
            await unit.images.add(collection.pk, [new_image("a")])
            entered.set()
            await asyncio.Event().wait()

    writing = asyncio.create_task(write())
    await entered.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    async with database.read() as unit:
        assert await unit.images.count(collection.pk) == 0
    await add(database, collection, new_image("a"))


async def test_a_write_cancelled_inside_a_statement_leaves_nothing(database: Database):
    collection = await make_collection(database)
    for steps in range(1, 40, 3):
        writing = asyncio.create_task(add(database, collection, *(new_image(f"{i}") for i in range(50))))
        for _ in range(steps):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

        async with database.write() as unit:
            count = await unit.images.count(collection.pk)
            numbers, _ = await unit.images.load_codes(collection.pk, MODEL, 16)
            assert count in {0, 50}
            assert numbers.size == count
            await unit.images.delete(collection.pk, numbers.tolist())


async def test_a_read_unit_sees_one_moment(database: Database):
    collection = await make_collection(database)
    await add(database, collection, new_image("a"))

    async with database.read() as unit:
        before = await unit.feed.latest()
        await add(database, collection, new_image("b"))
        during = (await unit.feed.latest(), await unit.images.count(collection.pk))
    async with database.read() as unit:
        after = await unit.images.count(collection.pk)

    assert during == (before, 1)
    assert after == 2


async def test_readers_go_on_while_a_writer_works(database: Database):
    collection = await make_collection(database)

    async with database.write() as writing:
        await writing.images.add(collection.pk, [new_image("a")])
        async with database.read() as unit:
            assert await unit.images.count(collection.pk) == 0


async def test_waiting_writers_take_no_connection_from_readers(open_database):
    database, other = open_database(busy_timeout_s=30.0), open_database()
    async with asyncio.timeout(60), other.write():
        # More than there are connections for readers.
        waiting = [asyncio.create_task(_write_once(database)) for _ in range(12)]
        await _all_used(database._engines.writers.pool)
        async with database.read() as unit:
            assert await unit.collections.get("none") is None
        assert not any(task.done() for task in waiting)
    assert await asyncio.gather(*waiting) == [None] * 12


async def _all_used(pool: sa.QueuePool) -> None:
    """Wait until no connection of a pool is free."""
    for _ in range(3_000):
        if pool.checkedout() == pool.size():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(pool.status())


async def _write_once(database: Database) -> None:
    async with database.write():
        pass


async def test_what_a_writer_has_read_stays_true_until_it_commits(database: Database, open_database):
    collection = await make_collection(database)

    async def add_unless_there(one: Database) -> bool:
        async with one.write() as unit:
            if await unit.images.get(collection.pk, "a") is not None:
                return False
            await asyncio.sleep(0.01)
            await unit.images.add(collection.pk, [new_image("a")])
            return True

    outcomes = await asyncio.gather(*(add_unless_there(open_database()) for _ in range(4)))

    assert sorted(outcomes) == [False, False, False, True]


async def test_a_domain_error_passes_through_a_unit(database: Database):
    collection = await make_collection(database)
    await add(database, collection, new_image("a"))

    with pytest.raises(IdExists):
        await add(database, collection, new_image("a"))

    await add(database, collection, new_image("b"))


async def test_a_locked_database_is_unavailable_within_the_timeout(database: Database, open_database):
    await register_model(database)
    impatient = open_database(busy_timeout_s=0.3)

    async with database.write():
        with pytest.raises(DatabaseUnavailable) as caught:
            await make_collection(impatient, "x")
        async with impatient.read() as unit:
            assert await unit.collections.list_all() == []

    assert caught.value.retry_after_s > 0
    await make_collection(impatient, "x")


async def test_too_many_readers_at_once_are_told_to_come_back(open_database):
    small = open_database(pool_size=2, busy_timeout_s=0.2)

    async with AsyncExitStack() as stack:
        for _ in range(2):
            unit = await stack.enter_async_context(small.read())
            await unit.feed.latest()
        with pytest.raises(DatabaseUnavailable, match="busy"):
            async with small.read():
                pass


async def test_an_unreachable_database_is_unavailable(tmp_path):
    for url in (f"sqlite:///{tmp_path}/no/such/folder/x.db", f"postgresql://postgres@/x?host={tmp_path}"):
        database = Database.open(url)
        with pytest.raises(DatabaseUnavailable):
            async with database.read() as unit:
                await unit.feed.latest()
        with pytest.raises(DatabaseUnavailable):
            async with database.write():
                pass
        await database.close()
    await _let_sqlite_threads_end()


@pytest.mark.parametrize(
    "url", ["mysql://x", "sqlite://", "sqlite:///:memory:", "oracle:///x", "sqlite+aiosqlite:///:memory:"]
)
async def test_other_databases_are_refused(url: str):
    with pytest.raises(ValueError, match=r"(?i)sqlite"):
        Database.open(url)


async def test_an_unknown_synchronous_is_refused(sqlite_url: str):
    with pytest.raises(ValueError, match="FULL"):
        Database.open(sqlite_url, sqlite_synchronous="SOMETIMES")


async def test_sqlite_writes_are_synced_in_full_by_default(sqlite_url: str):
    database = Database.open(sqlite_url)
    async with database.write() as unit:
        connection = unit.images._connection
        pragmas = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("synchronous", "journal_mode", "foreign_keys")
        ]
    async with database.read() as unit:
        with pytest.raises(Exception, match="readonly"):
            await unit.images._connection.exec_driver_sql("DELETE FROM changes")
    await database.close()

    assert pragmas == [2, "wal", 1]


async def test_a_full_disk_is_storage_full_and_space_brings_writes_back(sqlite_url: str):
    database = Database.open(sqlite_url)
    collection = await make_collection(database)
    await add(database, collection, new_image("before"))

    async def limit_pages(pages: int) -> None:
        async with database.write() as unit:
            await unit.images._connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    added = []

    async def fill() -> None:
        for i in range(1_000):
            added.extend(await add(database, collection, new_image(f"{i}", metadata={"text": "x" * 4_000})))

    await limit_pages(1)  # SQLite raises it to the size that the file has
    with pytest.raises(StorageFull):
        await fill()

    async with database.read() as unit:
        numbers, _ = await unit.images.load_codes(collection.pk, MODEL, 16)
        assert numbers.tolist()[1:] == added
        assert await unit.images.count(collection.pk) == len(added) + 1
    await limit_pages(1_000_000)
    await add(database, collection, new_image("after"))
    await database.close()


async def test_a_postgres_that_reports_a_full_disk_is_storage_full(postgres_url: str):
    database = Database.open(postgres_url)
    collection = await make_collection(database)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
        )
        connection.execute("CREATE TRIGGER full_disk BEFORE INSERT ON codes EXECUTE FUNCTION full_disk()")

        with pytest.raises(StorageFull):
            await add(database, collection, new_image("a"))
        connection.execute("DROP TRIGGER full_disk ON codes")

    await add(database, collection, new_image("a"))
    await database.close()


async def test_lost_postgres_connections_are_replaced(postgres_url: str):
    database = Database.open(postgres_url)
    collection = await make_collection(database)
    await add(database, collection, new_image("a"))

    async def write_and_lose_the_connection() -> None:
        async with database.write() as unit:
            await unit.images.add(collection.pk, [new_image("lost")])
            _terminate_others(connection)
            await unit.images.count(collection.pk)

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        with pytest.raises(DatabaseUnavailable):
            await write_and_lose_the_connection()
        await add(database, collection, new_image("b"))
        _terminate_others(connection)
        async with database.read() as unit:
            assert await unit.images.count(collection.pk) == 2

    await database.close()


@pytest.mark.parametrize("pictures", [1, 3])
async def test_a_transaction_that_stands_still_is_ended_by_postgres(postgres_url: str, pictures: int):
    """Many rows go another way through the driver than one, and that way must not stop the server's timer."""
    # Longer than a busy machine takes between two statements.
    frozen = Database.open(postgres_url, idle_in_transaction_timeout_s=1.0)
    other = Database.open(postgres_url)
    collection = await make_collection(frozen)

    async def stand_still_until_the_other_is_done() -> None:
        async with frozen.write() as unit:
            await unit.images.add(collection.pk, [new_image(f"a{i}") for i in range(pictures)])
            await add(other, collection, new_image("b"))

    with pytest.raises(DatabaseUnavailable):
        await stand_still_until_the_other_is_done()

    async with other.read() as unit:
        assert list(await unit.images.get_many(collection.pk, ["a0", "b"])) == ["b"]

    await frozen.close()
    await other.close()


async def test_a_statement_that_takes_too_long_is_ended_by_postgres(postgres_url: str):
    database = Database.open(postgres_url, statement_timeout_s=0.1)

    with pytest.raises(DatabaseUnavailable):
        async with database.read() as unit:
            await unit.images._connection.exec_driver_sql("SELECT pg_sleep(10)")

    await database.close()


async def _let_sqlite_threads_end() -> None:
    """A connection that failed ends its thread when it gets to it; the event loop must not be gone by then."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 10)


def _terminate_others(connection: psycopg.Connection) -> None:
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
