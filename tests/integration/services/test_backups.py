"""A backup of one kind of database is restored into the other."""

import pytest

from app.images.objects import ObstoreObjects
from app.images.storage import ObstorePictureStore
from app.services.operations.backups import Backups
from app.store.engine import Database
from tests.integration.store.pictures import MODEL, add, make_collection, new_image

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


async def no_progress(phase: str, done: int) -> None:
    """Nobody watches."""


@pytest.mark.parametrize("direction", ["sqlite to postgres", "postgres to sqlite"])
async def test_the_same_pictures_and_codes_are_there(direction, sqlite_url, postgres_url, tmp_path):
    source, target = (
        (sqlite_url, postgres_url) if direction.startswith("sqlite") else (postgres_url, sqlite_url)
    )
    url = (tmp_path / "store").as_uri()
    one, other = (Database.open(address) for address in (source, target))
    from_one, into_other = (
        Backups(database, ObstoreObjects(url), ObstorePictureStore(url), tmp_path / "spool")
        for database in (one, other)
    )
    collection = await make_collection(one)
    numbers = await add(one, collection, *(new_image(f"p{i}", metadata={"i": i, "b": i > 3}) for i in range(9)))

    manifest = await from_one.take("SNAPSHOT", copy_pictures=False, progress=no_progress)
    fetched = await into_other.fetch(await into_other.manifest("SNAPSHOT"), no_progress)
    async with other.write() as unit:
        change = await into_other.restore(unit, manifest, fetched)

    async with one.read() as before, other.read() as after:
        assert await after.collections.list_all() == await before.collections.list_all()
        assert await after.images.by_numbers(collection.pk, numbers) == await before.images.by_numbers(
            collection.pk, numbers
        )
        assert await after.images.codes_of(collection.pk, MODEL, numbers) == await before.images.codes_of(
            collection.pk, MODEL, numbers
        )
        assert await after.feed.latest() == change > manifest.change
    await one.close()
    await other.close()
