"""A backup of one kind of database is restored into the other."""

import gzip
import json
from hashlib import sha256

import pytest

from app.domain.filters import parse_filter
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
    large = 2**60
    documents = [{"i": large + i, "b": {"is": i > 3}} for i in range(9)]
    numbers = await add(one, collection, *(new_image(f"p{i}", metadata=d) for i, d in enumerate(documents)))

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
        wanted = parse_filter(
            {"must": [{"key": "b.is", "match": True}, {"key": "i", "range": {"lt": large + 5}}]}
        )
        assert await after.images.numbers_matching(collection.pk, wanted) == [numbers[4]]
    await one.close()
    await other.close()


async def test_terms_in_a_backup_of_the_first_format_are_derived_anew(sqlite_url, tmp_path):
    url = (tmp_path / "store").as_uri()
    database, objects = Database.open(sqlite_url), ObstoreObjects(url)
    backups = Backups(database, objects, ObstorePictureStore(url), tmp_path / "spool")
    collection = await make_collection(database)
    [number] = await add(database, collection, new_image("a", metadata={"v": 2**60 + 1}))
    manifest = await backups.take("OLD", copy_pictures=False, progress=no_progress)
    terms = gzip.compress(
        b'{"collection_pk": 1, "key": "v", "term": "n:1.5", "number": 1, "value_number": 1.5}\n'
    )
    document = manifest.document() | {"format": 1}
    name = "image_terms-00000.ndjson.gz"
    document["files"].append(
        {"name": name, "table": "image_terms", "rows": 1, "sha256": sha256(terms).hexdigest()}
    )
    await objects.put(f"backups/OLD/{name}", terms)
    await objects.put("backups/OLD/manifest.json", json.dumps(document).encode())

    fetched = await backups.fetch(await backups.manifest("OLD"), no_progress)
    async with database.write() as unit:
        await backups.restore(unit, await backups.manifest("OLD"), fetched)

    async with database.read() as unit:
        for value, found in ((2**60 + 1, [number]), (2**60, [])):
            wanted = parse_filter({"must": [{"key": "v", "match": value}]})
            assert (await unit.images.numbers_matching(collection.pk, wanted)).tolist() == found
    await database.close()
