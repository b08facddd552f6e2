"""Keys and values are read from the inverted index, the same on both databases."""

import pytest

from app.store.engine import Database
from app.store.pictures.metadata_keys import MetadataKey
from tests.integration.store.pictures import add, make_collection, new_image

pytestmark = pytest.mark.anyio

METADATA = [
    {"brand": "acme", "Brand": "é", "year": 2, "nested": {"deep": True}, "k" * 256: {"x" * 256: 1}},
    {"brand": "best", "year": 10, "text": "x" * 257, "huge": 10**300},
    {"brand": ["acme", "zoo", ""], "year": 0.5, "half": False},
]


async def test_keys_are_listed_with_their_values(database: Database) -> None:
    collection, other = await make_collection(database), await make_other(database)
    await add(database, collection, *(new_image(str(i), metadata=m) for i, m in enumerate(METADATA)))
    await add(database, other, new_image("a", metadata={"foreign": 1}))

    async with database.read() as unit:
        found = await unit.metadata.keys(collection.pk, max_keys=100, max_values=3)
        none = await unit.metadata.keys(-1, max_keys=100, max_values=3)

    assert found == [
        MetadataKey("Brand", ("é",), False, None, None),
        MetadataKey("brand", ("", "acme", "best"), True, None, None),
        MetadataKey("half", (False,), False, None, None),
        MetadataKey("huge", (10**300,), False, 10**300, 10**300),
        MetadataKey("nested.deep", (True,), False, None, None),
        MetadataKey("year", (0.5, 10, 2), False, 0.5, 10),
    ]
    assert none == []


async def make_other(database: Database):
    async with database.write() as unit:
        return await unit.collections.create("other", model="tiny-16", keeps="copies")


async def test_no_more_keys_than_asked_for_are_listed(database: Database) -> None:
    collection = await make_collection(database)
    await add(database, collection, new_image("a", metadata={f"key{i:02}": i for i in range(20)}))

    async with database.read() as unit:
        found = await unit.metadata.keys(collection.pk, max_keys=5, max_values=3)

    assert [key.key for key in found] == [f"key{i:02}" for i in range(5)]
