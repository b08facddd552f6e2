"""The change feed tells every change, in the order of the commits."""

import asyncio
from contextlib import suppress

import pytest

from app.domain.changes import Change, ChangeKind
from app.store.engine import Database
from app.store.pictures.feed import FeedPruned
from tests.integration.store.pictures import MODEL, add, make_collection, new_image

pytestmark = pytest.mark.anyio


async def test_every_change_is_told_once_and_in_order(database: Database):
    collection = await make_collection(database)
    first, second = await add(database, collection, new_image("a"), new_image("b"))
    async with database.write() as unit:
        await unit.images.patch(collection.pk, first, metadata={}, uri="u")
        await unit.images.replace(collection.pk, first, new_image("a", b"new"))
        await unit.images.delete(collection.pk, [second])
        await unit.collections.delete(collection.pk)
        last = unit.last_change

    async with database.read() as unit:
        changes = await unit.feed.since(0)
        latest = await unit.feed.latest()

    assert [(change.kind, change.number) for change in changes] == [
        (ChangeKind.MODEL_PUT, None),
        (ChangeKind.COLLECTION_PUT, None),
        (ChangeKind.IMAGE_PUT, first),
        (ChangeKind.IMAGE_PUT, second),
        (ChangeKind.IMAGE_PATCHED, first),
        (ChangeKind.IMAGE_PUT, first),
        (ChangeKind.IMAGE_DELETED, second),
        (ChangeKind.COLLECTION_DELETED, None),
    ]
    assert [change.change for change in changes] == list(range(1, 9))
    assert changes[0] == Change(1, ChangeKind.MODEL_PUT, None, None, MODEL)
    assert {change.collection_pk for change in changes[1:]} == {collection.pk}
    assert last == latest == 8


async def test_the_feed_is_read_in_pieces(database: Database):
    collection = await make_collection(database)
    numbers = await add(database, collection, *(new_image(f"{i}") for i in range(5)))

    async with database.read() as unit:
        piece = await unit.feed.since(numbers[0], limit=2)
        none = await unit.feed.since(numbers[-1])

    assert [change.number for change in piece] == numbers[1:3]
    assert none == []


async def test_a_reader_behind_the_pruned_part_is_told_so(database: Database):
    collection = await make_collection(database)
    numbers = await add(database, collection, *(new_image(f"{i}") for i in range(5)))

    async with database.write() as unit:
        await unit.feed.prune(before=numbers[3])
        await unit.feed.prune(before=numbers[2])

    async with database.read() as unit:
        rest = await unit.feed.since(numbers[2])
        with pytest.raises(FeedPruned):
            await unit.feed.since(numbers[1])
    assert [change.number for change in rest] == numbers[3:]


async def test_the_feed_is_pruned_in_bounded_steps(database: Database):
    collection = await make_collection(database)
    numbers = await add(database, collection, *(new_image(f"{i}") for i in range(5)))

    starts, more = [], True
    while more:
        async with database.write() as unit:
            more = await unit.feed.prune(before=numbers[3], limit=2)
        async with database.read() as unit:
            for start in range(numbers[-1]):
                with suppress(FeedPruned):
                    await unit.feed.since(start)
                    starts.append(start)
                    break

    assert starts == [2, 4, numbers[2]]


async def test_pruning_everything_leaves_the_next_change_readable(database: Database):
    await make_collection(database)
    async with database.write() as unit:
        await unit.feed.prune(before=1_000_000)
    async with database.read() as unit:
        latest = await unit.feed.latest()

    await make_collection(database, "other")

    async with database.read() as unit:
        [change] = await unit.feed.since(latest)
    assert change.kind is ChangeKind.COLLECTION_PUT


@pytest.mark.slow
async def test_a_poller_misses_nothing_that_concurrent_writers_commit(database: Database, open_database):
    collection = await make_collection(database)
    writers = [open_database() for _ in range(4)]
    seen: list[int] = []

    async def write(writer: Database, name: str) -> list[int]:
        numbers: list[int] = []
        for i in range(12):
            numbers += await add(writer, collection, *(new_image(f"{name}-{i}-{j}") for j in range(1 + i % 3)))
        return numbers

    async def poll() -> None:
        reached = 0
        while not done.is_set() or reached < await latest():
            async with database.read() as unit:
                changes = await unit.feed.since(reached)
            numbers = [change.change for change in changes]
            assert numbers == sorted(numbers)
            reached = numbers[-1] if numbers else reached
            seen.extend(change.number for change in changes if change.number is not None)
            await asyncio.sleep(0)

    async def latest() -> int:
        async with database.read() as unit:
            return await unit.feed.latest()

    done = asyncio.Event()
    polling = asyncio.create_task(poll())
    written = await asyncio.gather(*(write(writer, f"w{i}") for i, writer in enumerate(writers)))
    done.set()
    await polling

    assert seen == sorted(number for numbers in written for number in numbers)
    assert all(numbers == sorted(numbers) for numbers in written)
