"""Pictures without a code under a model: counted, explained, and filled while everything else goes on."""

import pytest

from app.domain.collections import CollectionRecord, Missing
from app.domain.ids import sha256_hex
from app.domain.images import ImageCode
from app.store.engine import Database
from tests.integration.store.pictures import MODEL, add, make_collection, new_image, register_model

pytestmark = pytest.mark.anyio

NEXT = "next-8"


@pytest.fixture
async def collection(database: Database) -> CollectionRecord:
    await register_model(database, NEXT, 8)
    return await make_collection(database)


def next_code(content: bytes = b"x") -> ImageCode:
    return ImageCode(NEXT, sha256_hex(content).encode()[:1], b"descriptor")


async def missing(database: Database, collection: CollectionRecord) -> tuple[Missing, dict]:
    async with database.read() as unit:
        return (
            await unit.coverage.missing(collection.pk, NEXT),
            await unit.coverage.missing_numbers(collection.pk, NEXT),
        )


async def test_what_is_missing_is_counted_and_explained(database: Database, collection):
    a, b, c = await add(database, collection, *(new_image(name) for name in "abc"))
    async with database.write() as unit:
        first, second, _ = await unit.coverage.missing_images(collection.pk, NEXT, after=-1, limit=9)
        stored = await unit.coverage.put_codes(collection.pk, [(first, next_code())])
        await unit.coverage.note_unencoded(collection.pk, NEXT, [(second, "picture_gone")])

    count, numbers = await missing(database, collection)
    async with database.read() as unit:
        untried = await unit.coverage.missing_images(collection.pk, NEXT, after=-1, limit=9, untried=True)
        reasons = await unit.coverage.reasons(collection.pk, NEXT, limit=9)
        stored_code = await unit.images.codes_of(collection.pk, NEXT, [a, b, c])
    assert [image.image_id for image in stored] == ["a"]
    assert stored_code == {a: next_code().code}
    assert (count, count.failed, count.pending) == (Missing(2, {"picture_gone": 1}), 1, 1)
    assert numbers == {b: "picture_gone", c: None}
    assert [image.number for image in untried] == [c]
    assert reasons == [("b", "picture_gone")]


async def test_a_picture_replaced_or_deleted_since_it_was_read_is_passed_over(database: Database, collection):
    a, b, c = await add(database, collection, *(new_image(name) for name in "abc"))
    async with database.read() as unit:
        read = await unit.coverage.missing_images(collection.pk, NEXT, after=-1, limit=9)
    async with database.write() as unit:
        await unit.images.replace(collection.pk, a, new_image("a", b"another file"))
        await unit.images.delete(collection.pk, [b])
    async with database.write() as unit:
        stored = await unit.coverage.put_codes(collection.pk, [(image, next_code()) for image in read])
        await unit.coverage.note_unencoded(collection.pk, NEXT, [(read[0], "picture_gone"), (read[1], "x")])

    assert [image.number for image in stored] == [c]
    assert (await missing(database, collection))[1] == {a: None}


async def test_a_code_that_comes_late_ends_the_reason(database: Database, collection):
    (a,) = await add(database, collection, new_image("a"))
    async with database.write() as unit:
        (image,) = await unit.coverage.missing_images(collection.pk, NEXT, after=-1, limit=9)
        await unit.coverage.note_unencoded(collection.pk, NEXT, [(image, "storage_unavailable")])
        await unit.coverage.note_unencoded(collection.pk, NEXT, [(image, "not_an_image")])
    assert (await missing(database, collection))[1] == {a: "not_an_image"}

    async with database.write() as unit:
        await unit.coverage.put_codes(collection.pk, [(image, next_code())])

    assert await missing(database, collection) == (Missing(0, {}), {})


async def test_the_feed_tells_of_late_codes_only_where_an_index_may_hold_them(database: Database, collection):
    await add(database, collection, new_image("a"), new_image("b"))
    async with database.write() as unit:
        a, b = await unit.coverage.missing_images(collection.pk, NEXT, after=-1, limit=9)
        await unit.coverage.put_codes(collection.pk, [(a, next_code())])
        quiet = unit.last_change
    async with database.write() as unit:
        warm = await unit.collections.warm_model(collection.pk, NEXT)
        begun = unit.last_change
        await unit.coverage.put_codes(collection.pk, [(b, next_code())])

    async with database.read() as unit:
        (change,) = await unit.feed.since(begun)
    assert quiet == 0
    assert warm.warming_model == NEXT
    assert (change.kind, change.number, change.model) == ("code_put", b.number, NEXT)


async def test_codes_of_one_model_are_forgotten_bit_by_bit_and_no_others(database: Database, collection):
    codes = lambda name: (ImageCode(MODEL, b"aa"), next_code(name.encode()))  # noqa: E731
    await add(database, collection, *(new_image(name, codes=codes(name)) for name in "abc"))

    async with database.write() as unit:
        gone = [await unit.coverage.forget_codes(collection.pk, NEXT, 2) for _ in range(3)]

    assert gone == [2, 1, 0]
    async with database.read() as unit:
        assert (await unit.coverage.missing(collection.pk, MODEL)).count == 0
        assert (await unit.coverage.missing(collection.pk, NEXT)).count == 3
        assert await unit.images.descriptors_of(collection.pk, NEXT, [1, 2, 3, 4, 5]) == {}


async def test_a_deleted_picture_takes_its_reasons_along(database: Database, collection):
    (a,) = await add(database, collection, new_image("a"))
    async with database.write() as unit:
        (image,) = await unit.coverage.missing_images(collection.pk, NEXT, after=-1, limit=9)
        await unit.coverage.note_unencoded(collection.pk, NEXT, [(image, "picture_gone")])
        await unit.images.delete(collection.pk, [a])

    assert await missing(database, collection) == (Missing(0, {}), {})


async def test_a_collection_names_every_model_that_new_pictures_need(database: Database, collection):
    await register_model(database, "third-8", 8)
    async with database.write() as unit:
        prepared = await unit.collections.prepare_model(collection.pk, NEXT)
        warming = await unit.collections.warm_model(collection.pk, "third-8")
        switched = await unit.collections.switch_model(collection.pk, NEXT)
        forgotten = await unit.collections.forget_models(collection.pk)

    assert prepared.coded_models == (MODEL, NEXT)
    assert warming.coded_models == (MODEL, NEXT, "third-8")
    assert switched.coded_models == (NEXT, MODEL)
    assert (switched.previous_model, switched.next_model, switched.warming_model) == (MODEL, None, None)
    assert forgotten.coded_models == (NEXT,)
