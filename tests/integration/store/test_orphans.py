"""A file becomes an orphan with its last row, and stops being one with the next."""

from datetime import UTC, datetime, timedelta

import pytest

from app.store.engine import Database
from tests.integration.store.pictures import add, make_collection, new_image

pytestmark = pytest.mark.anyio

SHARED = new_image("x", b"shared").sha256


async def due(database: Database, after: timedelta = timedelta(days=1)) -> list[str]:
    async with database.write() as unit:
        return await unit.images.take_orphans(before=datetime.now(UTC) + after, limit=10)


async def test_a_file_is_orphaned_with_its_last_row_only(database: Database):
    collection = await make_collection(database)
    first, second = await add(database, collection, new_image("a", b"shared"), new_image("b", b"shared"))

    async with database.write() as unit:
        await unit.images.delete(collection.pk, [first])
    after_first = await due(database)
    async with database.write() as unit:
        await unit.images.delete(collection.pk, [second])

    assert after_first == []
    assert await due(database) == [SHARED]
    assert await due(database) == []


async def test_a_file_that_comes_back_is_kept(database: Database):
    collection = await make_collection(database)
    numbers = await add(database, collection, new_image("a", b"shared"))
    async with database.write() as unit:
        await unit.images.delete(collection.pk, numbers)

    await add(database, collection, new_image("b", b"shared"))

    assert await due(database) == []


async def test_a_replaced_file_is_orphaned(database: Database):
    collection = await make_collection(database)
    [number] = await add(database, collection, new_image("a", b"shared"))

    async with database.write() as unit:
        await unit.images.replace(collection.pk, number, new_image("a", b"new"))
    orphaned = await due(database)
    async with database.write() as unit:
        await unit.images.replace(collection.pk, number, new_image("a", b"new", metadata={"only": "this"}))

    assert orphaned == [SHARED]
    assert await due(database) == []


async def test_a_reference_keeps_no_file(database: Database):
    collection = await make_collection(database)
    numbers = await add(
        database,
        collection,
        new_image("copy", b"shared"),
        new_image("reference", b"shared", has_bytes=False),
        new_image("only reference", has_bytes=False),
    )

    async with database.write() as unit:
        await unit.images.delete(collection.pk, [numbers[0], numbers[2]])

    assert await due(database) == [SHARED]


async def test_an_orphan_waits_for_its_grace_period(database: Database):
    collection = await make_collection(database)
    numbers = await add(database, collection, new_image("a", b"shared"))
    async with database.write() as unit:
        await unit.images.delete(collection.pk, numbers)

    assert await due(database, after=-timedelta(hours=1)) == []


async def test_a_noted_file_is_an_orphan_unless_a_picture_keeps_it(database: Database):
    collection = await make_collection(database)
    await add(database, collection, new_image("a", b"shared"))

    async with database.write() as unit:
        await unit.images.note_orphans([SHARED, "f" * 64, "f" * 64])
        await unit.images.note_orphans(["f" * 64])

    assert await due(database) == ["f" * 64]
