"""An index follows what happens to pictures that have no code under its model."""

from dataclasses import replace

import pytest

from app.domain.codes import codes_to_bytes
from app.domain.images import ImageCode
from app.domain.perceptual import NO_HASH, PERCEPTUAL_MODEL
from app.index.collection_index import CollectionIndex
from app.services.index_sync.live_collection import LiveCollection, apply_changes
from app.store.engine import Database
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

NEXT = "next-16"


class Standby:
    """An index under a model that the collection may be switched to."""

    def __init__(self, database: Database, live: LiveCollection) -> None:
        self._database = database
        self.live = live

    @property
    def numbers(self) -> list[int]:
        return self.live.index.view().sample_numbers(100).tolist()

    @property
    def counts(self) -> tuple[int, int]:
        return self.live.missing.pending, self.live.missing.failed

    async def follow(self) -> int:
        """Apply new changes; return how many there were."""
        async with self._database.read() as unit:
            changes = await unit.feed.since(self.live.index.view().version)
            own = [change for change in changes if change.number is not None]
            await apply_changes(unit, self.live, own, await unit.feed.latest())
        return len(own)


@pytest.fixture
async def standby(database: Database) -> Standby:
    collection = await make_collection(database)
    await register_model(database, NEXT, BITS)
    async with database.write() as unit:
        warm = await unit.collections.warm_model(collection.pk, NEXT)
    return Standby(database, LiveCollection(replace(warm, model=NEXT), CollectionIndex(BITS), "digest"))


def both(content: bytes) -> tuple[ImageCode, ...]:
    return tuple(ImageCode(model, code_for(content)) for model in (MODEL, NEXT))


async def test_a_picture_that_could_not_be_encoded_is_pending_no_longer(database: Database, standby: Standby):
    pk = standby.live.record.pk
    a, b = await add(database, standby.live.record, new_image("a"), new_image("b"))
    await standby.follow()
    before = standby.counts
    async with database.write() as unit:
        images = await unit.coverage.missing_images(pk, NEXT, after=-1, limit=9)
        await unit.coverage.note_unencoded(pk, NEXT, [(image, "picture_gone") for image in images])
    await standby.follow()
    failed = standby.counts
    async with database.write() as unit:
        await unit.coverage.note_unencoded(pk, NEXT, [(image, "not_an_image") for image in images])
    again = await standby.follow()
    async with database.write() as unit:
        await unit.coverage.put_codes(pk, [(images[0], both(b"a")[1])])
        await unit.images.delete(pk, [b])
    await standby.follow()

    assert (before, failed, standby.counts) == ((2, 0), (0, 2), (0, 0))
    assert again == 0
    assert standby.numbers == [a]


async def test_a_picture_replaced_without_a_code_is_not_found_by_the_old_one(
    database: Database, standby: Standby
):
    a, b = await add(
        database, standby.live.record, new_image("a", codes=both(b"a")), new_image("b", codes=both(b"b"))
    )
    await standby.follow()
    before = standby.numbers
    async with database.write() as unit:
        await unit.images.replace(standby.live.record.pk, a, new_image("a", b"other"))
    await standby.follow()

    assert (before, standby.numbers, standby.counts) == ([a, b], [b], (1, 0))


HASH = bytes(range(32))


def held_hashes(standby: Standby) -> dict[int, bytes]:
    view = standby.live.hashes.view()
    numbers, codes = view.codes_of(view.sample_numbers(100))
    return dict(zip(numbers.tolist(), codes_to_bytes(codes, view.bits), strict=True))


async def test_perceptual_hashes_follow_additions_replacements_backfills_and_deletions(standby, database):
    collection = standby.live.record
    [a, b, c] = await add(
        database,
        collection,
        *(new_image(name, codes=both(name.encode()), perceptual_hash=HASH) for name in "ab"),
        new_image("c", codes=both(b"c")),
    )
    await standby.follow()
    assert held_hashes(standby) == {a: HASH, b: HASH}

    async with database.write() as unit:
        reasons = await unit.coverage.reasons_of(collection.pk, PERCEPTUAL_MODEL, [a, b, c])
        await unit.images.replace(collection.pk, a, new_image("a", b"a2", codes=both(b"a2")))
        image = (await unit.images.by_numbers(collection.pk, [c]))[c]
        await unit.coverage.put_codes(collection.pk, [(image, ImageCode(PERCEPTUAL_MODEL, HASH[::-1]))])
        await unit.images.delete(collection.pk, [b])
    await standby.follow()

    assert reasons == {c: NO_HASH}
    assert held_hashes(standby) == {c: HASH[::-1]}
    assert standby.live.hashes.view().version == standby.live.index.view().version
    async with database.write() as unit:
        await unit.images.delete(collection.pk, [c])
        assert await unit.images.codes_of(collection.pk, PERCEPTUAL_MODEL, [a, b, c]) == {}
