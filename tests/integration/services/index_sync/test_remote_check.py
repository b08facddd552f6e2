"""Rows of an engine that differ from the database are found by sums of ranges, and written again."""

import numpy as np
import pytest

from app.domain.errors import IndexUnavailable
from app.domain.perceptual import PERCEPTUAL_DIGEST, PERCEPTUAL_MODEL
from app.remote import journal, writer
from app.remote.connection import EngineConnection
from app.remote.filters import term_arrays
from app.remote.fingerprints import fingerprint_sql, fingerprints
from app.remote.journal import Journal
from app.remote.schema import MAX_WORDS
from app.services.index_sync import remote_check
from app.services.index_sync.remote_check import RangeDifferences, RemoteCheck
from app.services.index_sync.remote_indexes import RemoteIndexes
from tests.fixtures.engine import engine, engine_address, engine_url  # noqa: F401
from tests.integration.services.index_sync.feeding import (
    DIGEST,
    assert_holds_the_database,
    catch_up,
    collection,  # noqa: F401
    database,  # noqa: F401
    feed,
    hashed_image,
    load,
    make_feeder,
)
from tests.integration.store.pictures import add, new_image

pytestmark = pytest.mark.anyio

SYNC = {"mutations_sync": 2}


@pytest.fixture(autouse=True)
def _settled(monkeypatch):
    monkeypatch.setattr(journal, "SETTLED_S", 0)


async def differences(check: RemoteCheck) -> list[RangeDifferences]:
    copy, _ = await check.copies()
    found = [await check.compare(copy, -1)]
    while not found[-1].is_last:
        found.append(await check.compare(copy, found[-1].last))
    return found


async def repaired(check: RemoteCheck) -> int:
    copy, _ = await check.copies()
    return sum([await check.repair(copy, one) for one in await differences(check)])


async def tidied(feeder) -> None:
    feeder._tidy_at = 0.0
    await feed(feeder)


@pytest.mark.parametrize("words", [1, 4, MAX_WORDS])
def test_the_engine_computes_the_same_fingerprints(engine: EngineConnection, words):  # noqa: F811
    rng = np.random.default_rng(words)
    codes = rng.integers(0, 2**64, (3, words), dtype=np.uint64)
    texts = [term_arrays(one) for one in ({}, {"a": [1, "\N{SNOWMAN}"], "b": {"c": -2.5}}, {"a": True})]
    numbers = [0, 7, 2**40]
    expected = fingerprints(numbers, codes, [terms for terms, _ in texts], [ranges for _, ranges in texts])
    table = f"{engine.database}.codes_{words}"
    columns = {"generation": [1] * 3, "number": numbers, "added": [1] * 3}
    columns |= {f"c{i}": codes[:, i].tolist() for i in range(words)}
    columns |= {"terms": [terms for terms, _ in texts], "ranges": [ranges for _, ranges in texts]}
    engine.insert(f"codes_{words}", columns)
    rows = engine.query(f"SELECT {fingerprint_sql(words)} FROM {table} ORDER BY number")
    assert [row[0] for row in rows] == expected.tolist()


async def test_rows_that_were_deleted_changed_or_added_are_found_and_written_again(
    database,  # noqa: F811
    collection,  # noqa: F811
    engine,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setattr(remote_check, "RANGE", 16)
    monkeypatch.setattr(remote_check, "CLOSE", 3)
    numbers = await add(
        database, collection, *(new_image(f"p{i}", metadata={"odd": bool(i % 2)}) for i in range(60))
    )
    feeder, check = make_feeder(database, engine), RemoteCheck(database, RemoteIndexes(database, engine))
    await feed(feeder)
    async with database.write() as unit:
        await unit.images.delete(collection.pk, numbers[50:52])
        await unit.images.patch(collection.pk, numbers[49], uri=None, metadata={"odd": False, "n": 1})
    await feed(feeder)
    live = await load(database, engine, collection)
    assert all(not one.by_fault for one in await differences(check))
    codes, gone = f"{engine.database}.codes_1", f"{engine.database}.gone"
    held = engine.query(f"SELECT generation, number, added, c0, terms, ranges FROM {codes} ORDER BY number")
    engine.command(f"ALTER TABLE {codes} DELETE WHERE number IN ({numbers[3]}, {numbers[4]})", SYNC)
    engine.command(f"ALTER TABLE {codes} UPDATE c0 = bitXor(c0, 1) WHERE number = {numbers[20]}", SYNC)
    engine.command(f"ALTER TABLE {codes} UPDATE terms = [] WHERE number = {numbers[21]}", SYNC)
    engine.command(f"ALTER TABLE {gone} DELETE WHERE number = {numbers[50]}", SYNC)
    generation, number, added, *rest = held[30]
    engine.insert("codes_1", dict(zip(("generation", "number", "added", "c0", "terms", "ranges"),
                  ([generation], [number], [added + 1], *([one] for one in rest)), strict=True)))  # fmt: skip
    found = await differences(check)
    assert len(found) > 3
    assert [n for one in found for n in one.missing] == numbers[3:5]
    assert [n for one in found for n in one.different] == numbers[20:22]
    assert [n for one in found for n in one.extra] == [number, numbers[50]]
    assert await repaired(check) == 6
    await tidied(feeder)
    assert all(not one.by_fault for one in await differences(check))
    await catch_up(database, live)
    await RemoteIndexes(database, engine).follow(live.remote_indexes, lambda: live.index.view().version)
    await assert_holds_the_database(database, live)
    await assert_holds_the_database(database, await load(database, engine, collection))
    assert Journal(engine).pending_repairs(live.index._generation) == []


async def test_a_repair_that_was_interrupted_is_done_once(
    database,  # noqa: F811
    collection,  # noqa: F811
    engine,  # noqa: F811
    monkeypatch,
):
    numbers = await add(database, collection, *(new_image(f"p{i}") for i in range(20)))
    feeder, check = make_feeder(database, engine), RemoteCheck(database, RemoteIndexes(database, engine))
    await feed(feeder)
    codes = f"{engine.database}.codes_1"
    for step in range(4):
        engine.command(f"ALTER TABLE {codes} DELETE WHERE number IN ({numbers[step]}, {numbers[9]})", SYNC)
        assert await repaired(check) == 2
        insert, inserts = EngineConnection.insert, iter(range(100))

        def fail(*args, step=step, insert=insert, inserts=inserts, **kwargs):
            if next(inserts) == step + 1:
                raise IndexUnavailable("killed")
            return insert(*args, **kwargs)

        with monkeypatch.context() as failing:
            failing.setattr(EngineConnection, "insert", fail)
            with pytest.raises(IndexUnavailable):
                await tidied(feeder)
        await add(database, collection, new_image(f"later{step}"))
        await tidied(feeder)
        assert all(not one.by_fault for one in await differences(check))
    await assert_holds_the_database(database, await load(database, engine, collection))


async def test_everything_is_written_again_if_very_much_differs(
    database,  # noqa: F811
    collection,  # noqa: F811
    engine,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setattr(remote_check, "RANGE", 4)
    monkeypatch.setattr(remote_check, "MOST_REPAIRS", 2)
    await add(database, collection, *(new_image(f"p{i}") for i in range(20)))
    feeder, check = make_feeder(database, engine), RemoteCheck(database, RemoteIndexes(database, engine))
    await feed(feeder)
    live = await load(database, engine, collection)
    engine.command(f"ALTER TABLE {engine.database}.codes_1 DELETE WHERE 1", SYNC)
    assert await repaired(check) == 20
    before = live.index._generation
    await tidied(feeder)
    await tidied(feeder)
    await RemoteIndexes(database, engine).follow(live.remote_indexes, lambda: live.index.view().version)
    assert live.index._generation.id > before.id
    await assert_holds_the_database(database, live)
    assert all(not one.by_fault for one in await differences(check))


@pytest.mark.parametrize("lost", [["codes_1"], ["gone"], ["batches"], ["codes_1", "batches"], ["repairs"]])
async def test_tables_that_were_dropped_are_made_and_filled_again(
    database,  # noqa: F811
    collection,  # noqa: F811
    engine,  # noqa: F811
    monkeypatch,
    lost,
):
    monkeypatch.setattr(writer, "ORPHAN_AGE_NS", 0)
    numbers = await add(database, collection, *(new_image(f"p{i}") for i in range(20)))
    feeder = make_feeder(database, engine)
    await feed(feeder)
    async with database.write() as unit:
        await unit.images.delete(collection.pk, numbers[:3])
    await feed(feeder)
    live = await load(database, engine, collection)
    for table in lost:
        engine.command(f"DROP TABLE {engine.database}.{table} SYNC")
    if lost != ["repairs"]:
        with pytest.raises(IndexUnavailable):
            live.index.view().search(np.zeros(1, np.uint64), 5)
    await tidied(feeder)
    await tidied(feeder)  # rows of the generation that was lost
    await RemoteIndexes(database, engine).follow(live.remote_indexes, lambda: live.index.view().version)
    await assert_holds_the_database(database, live)
    await assert_holds_the_database(database, await load(database, engine, collection))
    assert engine.query(f"SELECT uniqExact(generation) FROM {engine.database}.codes_1") == [(1,)]


async def test_changes_that_the_engine_lacks_are_no_differences(database, collection, engine):  # noqa: F811
    numbers = await add(database, collection, *(new_image(f"p{i}") for i in range(20)))
    feeder, check = make_feeder(database, engine), RemoteCheck(database, RemoteIndexes(database, engine))
    copy, _ = await check.copies()
    with pytest.raises(IndexUnavailable, match="does not hold"):
        await check.compare(copy, -1)
    await feed(feeder)
    await add(database, collection, new_image("later"))
    async with database.write() as unit:
        await unit.images.delete(collection.pk, numbers[:2])
        await unit.images.patch(collection.pk, numbers[5], uri=None, metadata={"new": 1})
    assert all(not one.by_fault for one in await differences(check))
    async with database.read() as unit:
        latest = await unit.feed.latest()
    async with database.write() as unit:
        await unit.feed.prune(latest + 1)
    with pytest.raises(IndexUnavailable, match="too far behind"):
        await check.compare(copy, -1)


async def test_a_collection_has_a_copy_for_each_model_that_is_fed_and_for_hashes(
    database,  # noqa: F811
    collection,  # noqa: F811
    engine,  # noqa: F811
):
    remote = RemoteIndexes(database, engine)
    codes, hashes = await RemoteCheck(database, remote).copies()
    assert codes.owner == await remote.owner_of(collection, DIGEST)
    assert (hashes.model, hashes.owner) == (
        PERCEPTUAL_MODEL,
        await remote.owner_of(collection, PERCEPTUAL_DIGEST),
    )


async def test_perceptual_hashes_that_the_server_lost_are_found_and_written_again(database, collection, engine):  # noqa: F811
    await add(database, collection, *(hashed_image(f"p{i}", odd=i % 3 != 0) for i in range(9)))
    feeder, check = make_feeder(database, engine), RemoteCheck(database, RemoteIndexes(database, engine))
    await feed(feeder)
    live = await load(database, engine, collection)
    _, hashes = await check.copies()
    assert not (await check.compare(hashes, -1)).by_fault
    engine.command(f"ALTER TABLE {engine.database}.codes_4 DELETE WHERE 1", SYNC)
    lost = await check.compare(hashes, -1)
    assert len(lost.missing) == 6
    assert await check.repair(hashes, lost) == 6
    await tidied(feeder)
    assert not (await check.compare(hashes, -1)).by_fault
    await catch_up(database, live)
    await RemoteIndexes(database, engine).follow(live.remote_indexes, lambda: live.index.view().version)
    await assert_holds_the_database(database, live)


async def test_hashes_that_differ_from_the_database_are_written_again(
    database,  # noqa: F811
    collection,  # noqa: F811
    engine,  # noqa: F811
):
    await add(database, collection, hashed_image("a", odd=True))
    feeder = make_feeder(database, engine)
    await feed(feeder)
    engine.command(f"ALTER TABLE {engine.database}.codes_4 UPDATE c0 = bitXor(c0, 1) WHERE 1", SYNC)
    live = await load(database, engine, collection)
    assert live.remote_hashes is None
    await tidied(feeder)  # finds the entry in the journal
    await tidied(feeder)
    await assert_holds_the_database(database, await load(database, engine, collection))
