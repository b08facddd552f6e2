"""A deletion in several transactions decides in each of them which pictures to delete."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.collections import CollectionRecord
from app.domain.filters import parse_filter
from app.services.pictures import images
from app.services.pictures.images import Images
from app.store.engine import Database
from tests.integration.store.pictures import add, make_collection, new_image

pytestmark = pytest.mark.anyio

OLD = parse_filter({"must": [{"key": "state", "match": "old"}]})


class Following:
    """A fake of the index; ``between`` runs after each transaction, as another writer could."""

    version = 0

    def __init__(self, record: CollectionRecord, between: Callable[[], Awaitable[Any]]) -> None:
        self._record = record
        self._between = between

    def collection(self, _name: str) -> SimpleNamespace:
        return SimpleNamespace(record=self._record)

    async def catch_up(self, _change: int) -> None:
        await self._between()


@pytest.fixture(autouse=True)
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "DELETE_BATCH", 1)


async def left(database: Database, pk: int) -> dict[str, int]:
    async with database.read() as unit:
        return {record.image_id: record.number for record in await unit.images.page(pk, 0, 10)}


async def test_a_picture_that_no_longer_matches_remains(database: Database):
    collection = await make_collection(database)
    _, second, _ = await add(database, collection, *(new_image(i, metadata={"state": "old"}) for i in "abc"))

    async def rescue() -> None:
        async with database.write() as unit:
            await unit.images.patch(collection.pk, second, metadata={"state": "new"}, uri=None)

    index = Following(collection, rescue)
    service = Images(database, None, index, index, None)
    gone = await service.delete_matching("default", OLD, dry_run=False)

    assert (gone.image_ids, gone.count) == (("a", "c"), 2)
    assert await left(database, collection.pk) == {"b": second}


async def test_the_picture_that_now_has_the_id_is_deleted(database: Database):
    collection = await make_collection(database)
    _, second = await add(database, collection, new_image("a"), new_image("b"))

    async def take_anew() -> None:
        nonlocal second
        if second is None:
            return
        async with database.write() as unit:
            await unit.images.delete(collection.pk, [second])
            await unit.images.add(collection.pk, [new_image("b", b"other")])
        second = None

    index = Following(collection, take_anew)
    service = Images(database, None, index, index, None)
    gone = await service.delete_ids("default", ["a", "b", "c"], dry_run=False)

    assert (gone.image_ids, gone.count, gone.missing) == (("a", "b"), 2, ("c",))
    assert await left(database, collection.pk) == {}
