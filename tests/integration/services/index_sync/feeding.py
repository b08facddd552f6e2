"""What tests of indexes on another server share: a database, a collection, its feeder, and what must hold."""

from collections.abc import AsyncIterator
from types import SimpleNamespace

import numpy as np
import pytest

from app.domain.collections import CollectionRecord, IndexKind
from app.domain.filters import parse_filter
from app.domain.ids import sha256_hex
from app.domain.images import NewImage
from app.domain.perceptual import HASH_BITS, PERCEPTUAL_MODEL
from app.services.index_sync.engine_feeder import EngineFeeder
from app.services.index_sync.live_collection import LiveCollection, apply_changes
from app.services.index_sync.remote_indexes import RemoteIndexes
from app.store.engine import Database
from tests.integration.store.pictures import BITS, MODEL, add, new_image, register_model

DIGEST = sha256_hex(MODEL.encode())
ARTIFACT = SimpleNamespace(digest=DIGEST, bits=BITS)
ODD = parse_filter({"must": [{"key": "odd", "match": True}]})


@pytest.fixture
async def database(sqlite_url) -> AsyncIterator[Database]:
    opened = Database.open(sqlite_url)
    await register_model(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def collection(database) -> CollectionRecord:
    async with database.write() as unit:
        return await unit.collections.create(
            "far", model=MODEL, keeps="copies", index_kind=IndexKind.CLICKHOUSE
        )


def make_feeder(database, connection) -> EngineFeeder:
    return EngineFeeder(database, RemoteIndexes(database, connection), connection)


async def feed(feeder: EngineFeeder) -> None:
    while await feeder.turn() == 0.0:
        pass


async def load(database, connection, collection) -> LiveCollection:
    async with database.read() as unit:
        return await RemoteIndexes(database, connection).load(unit, collection, ARTIFACT)


async def assert_holds_the_database(database, live: LiveCollection) -> None:
    async with database.read() as unit:
        numbers, codes = await unit.images.load_codes(live.record.pk, MODEL, BITS)
        odd = await unit.images.numbers_matching(live.record.pk, ODD)
        hashed, hashes = await unit.images.load_codes(live.record.pk, PERCEPTUAL_MODEL, HASH_BITS)
    assert live.remote_hashes is not None
    found_hashes = live.remote_hashes.view().search(hash_words(b""), 10**6)
    assert sorted(found_hashes.numbers.tolist()) == hashed.tolist()
    assert live.remote_hashes.view().codes_of(hashed)[1].tolist() == hashes.tolist()
    view = live.index.view()
    found, found_codes = view.codes_of(numbers)
    assert found.tolist() == numbers.tolist()
    assert found_codes.tolist() == codes.tolist()
    assert view.count == len(numbers)
    nearest = view.search(np.zeros(1, np.uint64), 10**6)
    assert sorted(nearest.numbers.tolist()) == numbers.tolist()
    if view.has_filter(ODD.key):
        filtered = view.search(np.zeros(1, np.uint64), 10**6, filter_key=ODD.key)
        assert sorted(filtered.numbers.tolist()) == odd.tolist()
        assert view.filtered_count(ODD.key) == len(odd)


def hash_of(content: bytes) -> bytes:
    return bytes.fromhex(sha256_hex(content))


def hash_words(content: bytes) -> np.ndarray:
    return np.frombuffer(hash_of(content), np.uint64)


def hashed_image(image_id: str, *, odd: bool) -> NewImage:
    """A picture that has a perceptual hash only if it is odd."""
    content = image_id.encode()
    return new_image(image_id, metadata={"odd": odd}, perceptual_hash=hash_of(content) if odd else None)


async def change_something(database, collection, rng, step: int) -> None:
    numbers = await add(
        database,
        collection,
        *(hashed_image(f"p{step}-{i}", odd=bool(i % 2)) for i in range(int(rng.integers(1, 9)))),
    )
    async with database.read() as unit:
        present = [image.number for image in await unit.images.page(collection.pk, -1, 10_000)]
    async with database.write() as unit:
        for number in rng.choice(present, min(3, len(present)), replace=False).tolist():
            kind = rng.random()
            if kind < 0.4:
                await unit.images.delete(collection.pk, [number])
            elif kind < 0.7:
                await unit.images.replace(
                    collection.pk, number, new_image(f"r{step}-{number}", b"%d %d" % (step, number))
                )
            else:
                await unit.images.patch(collection.pk, number, uri=None, metadata={"odd": bool(step % 2)})
    assert numbers


async def catch_up(database, live: LiveCollection) -> None:
    async with database.read() as unit:
        changes = await unit.feed.since(live.index.view().version)
        own = [c for c in changes if c.number is not None]
        await apply_changes(unit, live, own, await unit.feed.latest())
