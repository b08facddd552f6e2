"""What a user said about pairs of pictures stays with the pictures and goes with them."""

import pytest

from tests.integration.store.pictures import add, make_collection, new_image

pytestmark = pytest.mark.anyio


async def test_verdicts_are_forgotten_with_their_pictures_and_kept_when_only_metadata_change(database):
    collection = await make_collection(database)
    pk = collection.pk
    [a, b, c, d] = await add(database, collection, *(new_image(name) for name in "abcd"))
    async with database.write() as unit:
        assert await unit.verdicts.add(pk, [c, a, b]) == 3
        assert await unit.verdicts.add(pk, [d, a]) == 1
        assert await unit.verdicts.all_pairs(pk) == [(a, b), (a, c), (a, d), (b, c)]
        assert await unit.verdicts.page(pk, 1, 2) == [("a", "c"), ("a", "d")]
        assert await unit.verdicts.delete(pk, [a, c, d]) == 2
        await unit.images.patch(pk, a, metadata={"x": 1}, uri=None)
        await unit.images.replace(pk, a, new_image("a", metadata={"x": 2}))
        assert await unit.verdicts.all_pairs(pk) == [(a, b), (b, c)]

        await unit.images.delete(pk, [c])
        assert await unit.verdicts.all_pairs(pk) == [(a, b)]
        await unit.images.replace(pk, a, new_image("a", b"another file"))
        assert await unit.verdicts.all_pairs(pk) == []


async def test_verdicts_are_part_of_backups(database):
    collection = await make_collection(database)
    numbers = await add(database, collection, *(new_image(name) for name in "ab"))
    async with database.write() as unit:
        await unit.verdicts.add(collection.pk, numbers)
        [rows] = [rows async for rows in unit.backups.rows("different_pairs")]
        kept = {name: [r async for r in unit.backups.rows(name)] for name in ("collections", "images", "codes")}
        await unit.backups.clear()
        assert await unit.verdicts.all_pairs(collection.pk) == []
        for name, batches in kept.items():
            for batch in batches:
                await unit.backups.put_rows(name, batch)
        await unit.backups.put_rows("different_pairs", rows)
        assert await unit.verdicts.all_pairs(collection.pk) == [tuple(numbers)]
