"""Collections, models and what belongs to them."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.collections import Keeps
from app.domain.errors import CollectionExists, ModelMismatch, UnknownCollection, UnknownModel
from app.domain.models import Origin
from app.store.engine import Database
from tests.integration.store.pictures import MODEL, add, make_collection, new_image, register_model

pytestmark = pytest.mark.anyio


async def test_a_collection_reads_back_as_it_was_created(database: Database):
    created = await make_collection(database)

    async with database.read() as unit:
        assert await unit.collections.get("default") == created
        assert await unit.collections.get("none") is None
    assert (created.model, created.previous_model, created.keeps) == (MODEL, None, Keeps.COPIES)
    assert created.created_at.tzinfo is UTC


async def test_a_name_is_taken_once(database: Database):
    await make_collection(database)

    with pytest.raises(CollectionExists):
        await make_collection(database)


async def test_a_collection_needs_a_known_model(database: Database):
    with pytest.raises(UnknownModel):
        async with database.write() as unit:
            await unit.collections.create("x", model="nowhere", keeps="copies")
    with pytest.raises(ValueError, match="neither"):
        async with database.write() as unit:
            await unit.models.register(
                "m", digest="d", bits=8, descriptor_bytes=0, origin="neither", document={}, location=""
            )


async def test_collections_are_listed_by_name(database: Database):
    for name in ("b", "a", "c"):
        await make_collection(database, name)

    async with database.read() as unit:
        assert [c.name for c in await unit.collections.list_all()] == ["a", "b", "c"]


async def test_switching_the_model_remembers_the_one_before(database: Database):
    collection = await make_collection(database)
    await register_model(database, "next-16")

    async with database.write() as unit:
        described = await unit.collections.update(collection.pk, description="mine")
        switched = await unit.collections.switch_model(collection.pk, "next-16")

    async with database.read() as unit:
        assert await unit.collections.get("default") == switched
    assert described.description == switched.description == "mine"
    assert (switched.model, switched.previous_model) == ("next-16", MODEL)


async def test_changing_what_is_not_there_is_refused(database: Database):
    collection = await make_collection(database)

    with pytest.raises(UnknownCollection):
        async with database.write() as unit:
            await unit.collections.update(collection.pk + 1, description="x")
    with pytest.raises(UnknownCollection):
        async with database.write() as unit:
            await unit.collections.delete(collection.pk + 1)
    with pytest.raises(UnknownModel):
        async with database.write() as unit:
            await unit.collections.switch_model(collection.pk, "nowhere")


async def test_a_deleted_collection_takes_everything_with_it_but_what_others_share(database: Database):
    collection, other = await make_collection(database), await make_collection(database, "other")
    await add(database, collection, new_image("a", b"shared", metadata={"k": 1}), new_image("b", b"only here"))
    await add(database, other, new_image("a", b"shared", metadata={"k": 1}))

    async with database.write() as unit:
        await unit.collections.delete(collection.pk)
        swept = [await unit.collections.sweep(limit) for limit in (1, 10, 10)]

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    async with database.write() as unit:
        assert await unit.collections.get("default") is None
        assert await unit.images.count(collection.pk) == 0
        assert await unit.images.count(other.pk) == 1
        assert (await unit.images.load_codes(collection.pk, MODEL, 16))[0].size == 0
        orphans = await unit.images.take_orphans(before=tomorrow, limit=10)
    assert swept == [1, 1, 0]
    assert orphans == [new_image("b", b"only here").sha256]


async def test_a_deleted_collection_is_gone_before_it_is_swept(database: Database):
    collection = await make_collection(database)
    await add(database, collection, new_image("a"))

    async with database.write() as unit:
        await unit.collections.delete(collection.pk)

    async with database.read() as unit:
        assert await unit.collections.get("default") is None
        assert await unit.collections.list_all() == []
    again = await make_collection(database)
    await add(database, again, new_image("a"))
    with pytest.raises(UnknownCollection):
        await add(database, collection, new_image("b"))
    with pytest.raises(UnknownCollection):
        async with database.write() as unit:
            await unit.collections.delete(collection.pk)
    async with database.write() as unit:
        assert await unit.collections.sweep(10) == 1
        assert await unit.images.count(again.pk) == 1


async def test_a_collection_made_again_is_another_one(database: Database):
    collection = await make_collection(database)
    async with database.write() as unit:
        await unit.collections.delete(collection.pk)

    again = await make_collection(database)

    assert again.pk > collection.pk


async def test_registering_a_model_again_changes_nothing(database: Database):
    await register_model(database)
    async with database.read() as unit:
        before = await unit.feed.latest()
        known = await unit.models.get(MODEL)
        assert await unit.models.get("nowhere") is None

    await register_model(database)

    async with database.read() as unit:
        assert await unit.feed.latest() == before
        assert await unit.models.list() == [known]
    assert known is not None
    assert (known.origin, known.document) == (Origin.SHIPPED, {"bits": 16})


async def test_a_model_may_move_but_not_change(database: Database):
    await register_model(database)
    async with database.read() as unit:
        known = await unit.models.get(MODEL)
    assert known is not None
    same = {"bits": 16, "descriptor_bytes": 0, "origin": "trained", "document": {"bits": 16}}

    async with database.write() as unit:
        moved = await unit.models.register(MODEL, digest=known.digest, location="elsewhere", **same)
    with pytest.raises(ModelMismatch):
        async with database.write() as unit:
            await unit.models.register(MODEL, digest="0" * 64, location="elsewhere", **same)

    async with database.read() as unit:
        assert await unit.models.get(MODEL) == moved
    assert (moved.location, moved.created_at) == ("elsewhere", known.created_at)
