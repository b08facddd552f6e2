"""Descriptors in memory are those of the database, whatever was changed, and are read from it once."""

import numpy as np
import pytest

from app.domain.images import ImageCode
from app.index.collection_index import CollectionIndex
from app.index.descriptor_cache import DescriptorBudget
from app.services.index_sync.live_collection import LiveCollection, apply_changes
from app.services.searching.stored_descriptors import stored_descriptors
from app.store.engine import Database
from tests.integration.store.pictures import BITS, MODEL, add, code_for, make_collection, new_image

pytestmark = pytest.mark.anyio

WIDTH = 4


def described(content: bytes, *, descriptor: bytes | None) -> tuple[ImageCode, ...]:
    return (ImageCode(MODEL, code_for(content), descriptor),)


class CountedLookups:
    """The lookups of a database; counts what is read, and may do something after a read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.read: list[list[int]] = []
        self.afterwards = None

    async def descriptors_of(self, pk, model, numbers):
        self.read.append(list(numbers))
        stored = await self._database.lookups.descriptors_of(pk, model, numbers)
        if self.afterwards is not None:
            await self.afterwards()
        return stored


class Searched:
    """A collection whose searches keep descriptors in memory."""

    def __init__(self, database: Database, live: LiveCollection) -> None:
        self._database = database
        self.live = live
        self.lookups = CountedLookups(database)

    async def follow(self) -> None:
        async with self._database.read() as unit:
            changes = await unit.feed.since(self.live.index.view().version)
            own = [change for change in changes if change.number is not None]
            await apply_changes(unit, self.live, own, await unit.feed.latest())

    async def descriptors(self, *numbers: int) -> list[bytes | None]:
        found = await stored_descriptors(self.lookups, self.live, np.array(numbers, np.int64), WIDTH)
        pairs = zip(found.rows, found.is_stored.tolist(), strict=True)
        return [row.tobytes() if is_stored else None for row, is_stored in pairs]


@pytest.fixture
async def searched(database: Database) -> Searched:
    collection = await make_collection(database)
    live = LiveCollection(collection, CollectionIndex(BITS), "digest")
    live.descriptors = DescriptorBudget(100_000).new_cache()
    return Searched(database, live)


async def fill(database: Database, searched: Searched) -> list[int]:
    numbers = await add(
        database,
        searched.live.record,
        new_image("a", codes=described(b"a", descriptor=b"aaaa")),
        new_image("b", codes=described(b"b", descriptor=b"bbbb")),
        new_image("c", codes=described(b"c", descriptor=None)),
    )
    await searched.follow()
    return numbers


async def test_each_descriptor_is_read_once(database: Database, searched: Searched):
    a, b, c = await fill(database, searched)

    first = await searched.descriptors(b, a)
    second = await searched.descriptors(a, c, b)
    third = await searched.descriptors(c, a)

    assert (first, second, third) == ([b"bbbb", b"aaaa"], [b"aaaa", None, b"bbbb"], [None, b"aaaa"])
    assert searched.lookups.read == [[b, a], [c]]


async def test_changed_pictures_are_read_again_and_patched_ones_are_not(database: Database, searched: Searched):
    a, b, c = await fill(database, searched)
    await searched.descriptors(a, b, c)
    pk = searched.live.record.pk
    async with database.write() as unit:
        await unit.images.replace(pk, a, new_image("a", b"A", codes=described(b"A", descriptor=b"AAAA")))
        await unit.images.patch(pk, c, metadata={"colour": "red"}, uri=None)
        await unit.images.delete(pk, [b])
    await searched.follow()
    searched.lookups.read.clear()

    assert await searched.descriptors(a, b, c) == [b"AAAA", None, None]
    assert searched.lookups.read == [[a, b]]


async def test_a_new_code_of_the_model_brings_its_descriptor(database: Database, searched: Searched):
    _, _, c = await fill(database, searched)
    assert await searched.descriptors(c) == [None]
    pk = searched.live.record.pk
    async with database.write() as unit:
        await unit.coverage.delete_codes(pk, MODEL, [c])
        [image] = await unit.coverage.missing_images(pk, MODEL, after=-1, limit=9)
        await unit.coverage.put_codes(pk, [(image, described(b"c", descriptor=b"cccc")[0])])
    await searched.follow()

    assert await searched.descriptors(c) == [b"cccc"]


async def test_what_changed_while_it_was_read_is_read_again(database: Database, searched: Searched):
    a, b, _ = await fill(database, searched)
    pk = searched.live.record.pk

    async def replace_a() -> None:
        async with database.write() as unit:
            await unit.images.replace(pk, a, new_image("a", b"A", codes=described(b"A", descriptor=b"AAAA")))
        await searched.follow()

    searched.lookups.afterwards = replace_a
    await searched.descriptors(a, b)
    searched.lookups.afterwards = None

    assert await searched.descriptors(a, b) == [b"AAAA", b"bbbb"]
    assert searched.lookups.read == [[a, b], [a]]
