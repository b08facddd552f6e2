"""Files of deleted pictures are removed after their grace period, unless they were added again."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.errors import StorageUnavailable
from app.images.storage import ObstorePictureStore
from app.services.operations import sweeping
from app.services.operations.sweeping import Sweeper
from app.services.pictures.preparing import Preparation, PreparedImage
from tests.integration.store.pictures import add, make_collection, new_image

pytestmark = pytest.mark.anyio

CONTENTS = [b"one", b"two", b"three"]


class WatchedStore(ObstorePictureStore):
    """A store that can fail, hang, or call the test right before it deletes."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.failing: set[str] = set()
        self.hanging = False
        self.before_delete = None
        self.age = timedelta(days=1)

    async def last_modified(self, sha256):
        kept_at = await super().last_modified(sha256)
        return None if kept_at is None else kept_at - self.age

    async def delete(self, sha256):
        if self.before_delete is not None:
            await self.before_delete()
        if self.hanging:
            await asyncio.sleep(3600)
        if sha256 in self.failing:
            raise StorageUnavailable("the bucket is away")
        await super().delete(sha256)


@pytest.fixture
def store(tmp_path):
    return WatchedStore((tmp_path / "store").as_uri())


@pytest.fixture
async def orphans(database, store):
    """Files of three deleted pictures, by SHA-256."""
    collection = await make_collection(database)
    images = [new_image(f"p{i}", content) for i, content in enumerate(CONTENTS)]
    await store.put_many({image.sha256: content for image, content in zip(images, CONTENTS, strict=True)})
    numbers = await add(database, collection, *images)
    async with database.write() as unit:
        await unit.images.delete(collection.pk, numbers)
    return [image.sha256 for image in images]


async def kept(store, sha256s):
    missing = await store.missing(sha256s)
    return [sha256 for sha256 in sha256s if sha256 not in missing]


async def listed(database):
    async with database.write() as unit:
        return set(await unit.images.take_orphans(before=datetime.now(UTC) + timedelta(days=1), limit=100))


async def test_files_are_removed_after_the_grace_period(database, store, orphans):
    assert await Sweeper(database, store, grace_s=3600).sweep() == 0
    assert await kept(store, orphans) == orphans

    assert await Sweeper(database, store, grace_s=-1).sweep() == 3

    assert await kept(store, orphans) == []
    assert await listed(database) == set()


async def test_a_file_that_was_stored_again_within_the_grace_period_remains(database, store, orphans):
    store.age = -timedelta(hours=1)

    assert await Sweeper(database, store, grace_s=-1).sweep() == 3

    assert await kept(store, orphans) == orphans
    assert await listed(database) == set(orphans)


async def test_after_an_outage_the_remaining_files_are_removed(database, store, orphans):
    store.failing = {orphans[1]}
    sweeper = Sweeper(database, store, grace_s=-1)

    with pytest.raises(StorageUnavailable):
        await sweeper.sweep()
    after_outage = await kept(store, orphans)
    store.failing = set()
    await sweeper.sweep()

    assert after_outage == [orphans[1]]
    assert await kept(store, orphans) == []


async def test_a_hanging_store_does_not_block_writers(database, store, orphans, monkeypatch):
    monkeypatch.setattr(sweeping, "STORE_TIMEOUT_S", 0.01)
    store.hanging = True

    with pytest.raises(StorageUnavailable):
        await Sweeper(database, store, grace_s=-1).sweep()

    assert await listed(database) == set(orphans)


async def test_bytes_that_are_added_again_during_a_sweep_are_kept(database, open_database, store, orphans):
    """Another process stores the bytes and commits while the sweeper is about to delete them."""
    other = open_database()
    preparation = Preparation(other, store, None, None, None)
    adding = []

    async def add_again():
        async with other.read() as unit:
            collection = await unit.collections.get("default")
        image = new_image("again", CONTENTS[0])
        await store.put(image.sha256, CONTENTS[0])
        async with other.write() as unit:
            await unit.images.add(collection.pk, [image])
        await preparation.store_missing_files([PreparedImage(image, CONTENTS[0])])

    async def overtake():
        if not adding:
            adding.append(asyncio.create_task(add_again()))
            # Long enough for the addition to finish if nothing holds it back.
            await asyncio.wait(adding, timeout=0.5)

    store.before_delete = overtake

    await Sweeper(database, store, grace_s=-1).sweep()
    await adding[0]

    assert await kept(store, orphans) == [orphans[0]]
    assert await store.get(orphans[0]) == CONTENTS[0]
    assert await listed(database) == set()
