"""Pictures are stored, changed, found and deleted alike on both databases."""

from dataclasses import replace
from datetime import UTC, timedelta

import numpy as np
import pytest

from app.domain.codes import codes_from_bytes
from app.domain.errors import IdExists, ModelMismatch, UnknownCollection, UnknownImage, UnknownModel
from app.domain.filters import parse_filter
from app.domain.images import ImageCode
from app.store.engine import Database
from app.store.pictures import codes as codes_module
from app.store.pictures.feed import FeedPruned
from app.store.pictures.lookups import MAX_COPIES
from tests.integration.store.pictures import (
    BITS,
    MODEL,
    add,
    code_for,
    make_collection,
    new_image,
    register_model,
)

pytestmark = pytest.mark.anyio

ODD_METADATA = {
    "título": "çà et là — 画像 🖼",
    "nested": {"a": [1, {"b": None}]},
    "z first": True,
    "a last": -0.0,
    "float": 0.1 + 0.2,
    "tiny": 5e-324,
    "whole": 1.0,
    "big": 12345678901234567890123,
    "list": [1, "1", True, None, 1.0],
    "": "no key",
}


async def test_a_picture_reads_back_as_it_was_stored(database: Database):
    collection = await make_collection(database)
    new = new_image("a", uri="shop/ä.png", metadata=ODD_METADATA, size_bytes=2**40)

    [number] = await add(database, collection, new)
    async with database.read() as unit:
        stored = await unit.images.get(collection.pk, "a")

    assert stored is not None
    assert stored.number == stored.change == number
    assert stored.revision == 1
    assert repr(stored.metadata) == repr(ODD_METADATA)  # values, their types and the order of the keys
    assert (stored.uri, stored.size_bytes, stored.sha256) == (new.uri, new.size_bytes, new.sha256)
    assert stored.created_at == stored.updated_at
    assert stored.created_at.tzinfo is UTC


async def test_numbers_follow_the_order_of_adding(database: Database):
    collection = await make_collection(database)

    first = await add(database, collection, new_image("z"), new_image("y"))
    second = await add(database, collection, new_image("a"))

    assert first + second == sorted(first + second)
    async with database.read() as unit:
        page = await unit.images.page(collection.pk, 0, 10)
        rest = await unit.images.page(collection.pk, first[0], 1)
    assert [image.image_id for image in page] == ["z", "y", "a"]
    assert [image.image_id for image in rest] == ["y"]


async def test_an_id_is_taken_once_per_collection(database: Database):
    collection, other = await make_collection(database), await make_collection(database, "other")
    await add(database, collection, new_image("a"))

    with pytest.raises(IdExists):
        await add(database, collection, new_image("b"), new_image("a", b"other bytes"))
    with pytest.raises(IdExists):
        await add(database, collection, new_image("c"), new_image("c"))
    await add(database, other, new_image("a"))

    async with database.read() as unit:
        assert await unit.images.count(collection.pk) == 1
        assert await unit.images.count(other.pk) == 1


async def test_a_picture_needs_a_code_under_the_collections_model(database: Database):
    collection = await make_collection(database)
    await register_model(database, "other-16")

    with pytest.raises(ModelMismatch):
        await add(database, collection, new_image("a", codes=(ImageCode("other-16", b"\1\2"),)))
    with pytest.raises(UnknownModel):
        await add(database, collection, new_image("a", codes=(ImageCode(MODEL, b"12"), ImageCode("no", b"12"))))
    with pytest.raises(ValueError, match="16 bits"):
        await add(database, collection, new_image("a", codes=(ImageCode(MODEL, b"\1"),)))
    with pytest.raises(UnknownCollection):
        await add(database, replace(collection, pk=collection.pk + 100), new_image("a"))


async def test_several_models_may_have_a_code_of_one_picture(database: Database):
    collection = await make_collection(database)
    await register_model(database, "wide-64", bits=64)
    both = (ImageCode(MODEL, b"\1\2"), ImageCode("wide-64", b"12345678", b"descriptor"))

    [number] = await add(database, collection, new_image("a", codes=both))

    async with database.read() as unit:
        assert await unit.images.codes_of(collection.pk, MODEL, [number, 999]) == {number: b"\1\2"}
        assert await unit.images.codes_of(collection.pk, "wide-64", [number]) == {number: b"12345678"}
        assert await unit.images.descriptors_of(collection.pk, "wide-64", [number]) == {number: b"descriptor"}
        assert await unit.images.descriptors_of(collection.pk, MODEL, [number]) == {}


async def test_loaded_codes_are_every_code_by_ascending_number(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    collection, other = await make_collection(database), await make_collection(database, "other")
    monkeypatch.setattr(codes_module, "LOAD_BATCH", 7)
    numbers = []
    for start in range(0, 30, 10):
        numbers += await add(database, collection, *(new_image(f"{i}") for i in range(start, start + 10)))
        await add(database, other, *(new_image(f"{i}") for i in range(start, start + 3)))
    async with database.write() as unit:
        await unit.images.delete(collection.pk, numbers[4:6])

    async with database.read() as unit:
        loaded, codes = await unit.images.load_codes(collection.pk, MODEL, BITS)
        none, no_codes = await unit.images.load_codes(collection.pk, "other", BITS)

    kept = [i for i in range(30) if i not in {4, 5}]
    assert loaded.tolist() == [numbers[i] for i in kept]
    assert loaded.dtype == np.int64
    expected = codes_from_bytes(b"".join(code_for(str(i).encode()) for i in kept), BITS)
    assert np.array_equal(codes, expected)
    assert none.shape == (0,)
    assert no_codes.shape == (0, 1)


@pytest.mark.parametrize("code", [b"\0\0", b"\xff\xff", b",\0", b"'\\", b"\x80\xfe"])
async def test_codes_of_any_bytes_are_loaded_unchanged(database: Database, code: bytes):
    collection = await make_collection(database)
    await add(database, collection, *(new_image(f"{i}", codes=(ImageCode(MODEL, code),)) for i in range(3)))

    async with database.read() as unit:
        _, loaded = await unit.images.load_codes(collection.pk, MODEL, BITS)

    assert np.array_equal(loaded, codes_from_bytes(code * 3, BITS))


async def test_a_patch_changes_what_is_said_and_the_revision(database: Database):
    collection = await make_collection(database)
    [number] = await add(database, collection, new_image("a", metadata={"brand": "acme"}))

    async with database.write() as unit:
        patched = await unit.images.patch(collection.pk, number, metadata={"brand": "bolt"}, uri="x")

    async with database.read() as unit:
        assert await unit.images.get(collection.pk, "a") == patched
        matching = await unit.images.numbers_matching(
            collection.pk, parse_filter({"must": [{"key": "brand", "match": "acme"}]})
        )
    assert (patched.revision, patched.number, patched.uri) == (2, number, "x")
    assert patched.change > number
    assert patched.updated_at - patched.created_at >= timedelta(0)
    assert matching.tolist() == []


async def test_a_replaced_picture_keeps_its_number_and_loses_its_old_codes(database: Database):
    collection = await make_collection(database)
    await register_model(database, "other-16")
    both = (ImageCode(MODEL, b"\1\2"), ImageCode("other-16", b"\3\4"))
    [number] = await add(database, collection, new_image("a", codes=both, metadata={"v": 1}))

    async with database.write() as unit:
        replaced = await unit.images.replace(
            collection.pk, number, new_image("a", b"new bytes", metadata={"v": 2})
        )

    async with database.read() as unit:
        assert await unit.images.get(collection.pk, "a") == replaced
        assert await unit.images.codes_of(collection.pk, MODEL, [number]) == {number: code_for(b"new bytes")}
        assert await unit.images.codes_of(collection.pk, "other-16", [number]) == {}
        was = parse_filter({"must": [{"key": "v", "match": 1}]})
        assert (await unit.images.numbers_matching(collection.pk, was)).tolist() == []
    assert (replaced.number, replaced.revision) == (number, 2)


async def test_a_deleted_picture_leaves_nothing_behind(database: Database):
    collection = await make_collection(database)
    numbers = await add(database, collection, *(new_image(f"{i}", metadata={"i": i}) for i in range(5)))

    async with database.write() as unit:
        deleted = await unit.images.delete(collection.pk, [numbers[3], numbers[1], 999_999])
        again = await unit.images.delete(collection.pk, [numbers[3]])

    async with database.read() as unit:
        left = await unit.images.get_many(collection.pk, [str(i) for i in range(5)])
        coded, _ = await unit.images.load_codes(collection.pk, MODEL, BITS)
        termed = await unit.images.numbers_matching(
            collection.pk, parse_filter({"must": [{"key": "i", "range": {"gte": 0}}]})
        )
    assert [image.image_id for image in deleted] == ["1", "3"]
    assert again == []
    assert set(left) == {"0", "2", "4"}
    assert coded.tolist() == termed.tolist() == [numbers[0], numbers[2], numbers[4]]


async def test_changing_a_picture_that_is_not_there_is_refused(database: Database):
    collection = await make_collection(database)

    with pytest.raises(UnknownImage):
        async with database.write() as unit:
            await unit.images.patch(collection.pk, 12345, metadata={}, uri=None)
    with pytest.raises(UnknownImage):
        async with database.write() as unit:
            await unit.images.replace(collection.pk, 12345, new_image("a"))


async def test_pictures_of_another_collection_are_not_seen(database: Database):
    collection, other = await make_collection(database), await make_collection(database, "other")
    [number] = await add(database, collection, new_image("a", metadata={"k": 1}))

    async with database.write() as unit:
        assert await unit.images.by_numbers(other.pk, [number]) == {}
        assert await unit.images.delete(other.pk, [number]) == []
        matching = await unit.images.numbers_matching(
            other.pk, parse_filter({"must": [{"key": "k", "match": 1}]})
        )

    assert matching.tolist() == []


async def test_equal_files_are_found_by_their_sha256(database: Database):
    collection = await make_collection(database)
    await add(database, collection, *(new_image(name, b"same") for name in "cab"), new_image("d"))

    async with database.read() as unit:
        sha256 = new_image("x", b"same").sha256
        numbers = [record.number for record in await unit.images.page(collection.pk, 0, 9)]
        version = await unit.feed.latest()
        assert await unit.images.stored_bytes(collection.pk) == len(b"same") + len(b"d")
    lookups = database.lookups
    shown, copies = await lookups.found_at(collection.pk, numbers[2:], version, copies_of=sha256)
    assert {number: image.image_id for number, image in shown.items()} == dict(
        zip(numbers[2:], "bd", strict=True)
    )
    assert copies == ["c", "a", "b"]
    assert await lookups.found_at(collection.pk, [], version, copies_of=sha256) == ({}, copies)
    assert await lookups.found_at(collection.pk, [], version, copies_of="0" * 64) == ({}, [])
    whole, none = await lookups.found_at(collection.pk, numbers, version)
    assert (sorted(whole), none) == (numbers, [])
    with pytest.raises(FeedPruned):
        await lookups.found_at(collection.pk, numbers, -1, copies_of=sha256)


async def test_no_more_copies_are_named_than_a_reader_looks_at(database: Database):
    collection = await make_collection(database)
    await add(database, collection, *(new_image(f"p{i}", b"same") for i in range(MAX_COPIES + 1)))
    sha256 = new_image("x", b"same").sha256

    async with database.read() as unit:
        version = await unit.feed.latest()

    _, copies = await database.lookups.found_at(collection.pk, [], version, copies_of=sha256)

    assert copies == [f"p{i}" for i in range(MAX_COPIES)]


async def test_a_lookup_returns_what_the_repositories_return(database: Database):
    collection = await make_collection(database)
    metadata = {"text": "ü€\U0001f600 \u2028", "big": 2**70, "list": [1.5, None, True, {"k": []}]}
    await add(database, collection, new_image("a", metadata=metadata), new_image("0"), new_image("b c"))

    async with database.read() as unit:
        records = await unit.images.get_many(collection.pk, ["a", "0", "b c"])
        version = await unit.feed.latest()
    found = await database.lookups.by_ids(collection.pk, ["b c", "none", "a", "0"])
    numbered, _ = await database.lookups.found_at(collection.pk, [r.number for r in records.values()], version)

    assert {image_id: await database.lookups.image(collection.pk, image_id) for image_id in records} == records
    assert await database.lookups.image(collection.pk, "none") is None
    assert await database.lookups.image(collection.pk + 1, "a") is None
    assert found.keys() == records.keys()
    for image in (*found.values(), *numbered.values()):
        record = records[image.image_id]
        assert image._asdict() == {name: getattr(record, name) for name in image._fields}
        assert isinstance(image.has_bytes, bool)
    assert len(numbered) == 3


async def test_a_lookup_sees_what_was_committed_before_it_and_a_transaction_does_not(database: Database):
    collection = await make_collection(database)
    async with database.read() as unit:
        assert await unit.images.page(collection.pk, 0, 9) == []
        await add(database, collection, new_image("later"))

        assert await unit.images.page(collection.pk, 0, 9) == []
        assert (await database.lookups.by_ids(collection.pk, ["later"])).keys() == {"later"}


async def test_long_lists_are_read_whole(database: Database):
    collection = await make_collection(database)
    numbers = await add(database, collection, *(new_image(f"{i}") for i in range(300)))
    padded = list(range(-9_000, 0)) + numbers

    async with database.read() as unit:
        assert len(await unit.images.by_numbers(collection.pk, padded)) == 300
        assert len(await unit.images.codes_of(collection.pk, MODEL, padded)) == 300
        version = await unit.feed.latest()
    found, _ = await database.lookups.found_at(collection.pk, padded, version)
    assert sorted(found) == numbers
    ids = [f"{i}" for i in range(-9_000, 300)]
    assert len(await database.lookups.by_ids(collection.pk, ids)) == 300
