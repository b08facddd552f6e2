"""Indexes are loaded from snapshot files at a restart, and every file is checked against the database."""

import asyncio
import os
import shutil
import time
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from app.domain.perceptual import PERCEPTUAL_DIGEST
from app.index.delta import SLACK
from app.services.index_sync import snapshots
from app.services.index_sync.index_sync import IndexSync
from app.services.index_sync.snapshots import STALE_AFTER_S, SnapshotName, Snapshots
from app.services.supervision import Supervisor
from app.store.engine import Database
from tests.integration.store.pictures import BITS, MODEL, add, code_for, make_collection, new_image

pytestmark = pytest.mark.anyio


class OneModel:
    """A fake that knows the one model of the tests' codes and cannot encode."""

    digest = "ab" * 32

    async def serving(self, name):
        assert name == MODEL
        artifact = SimpleNamespace(bits=BITS, digest=self.digest)
        return SimpleNamespace(artifact=artifact, ranks_by_descriptor=False)


class Harness:
    """Start and stop indexes of one database and one folder, as processes do."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.models = OneModel()

    @asynccontextmanager
    async def process(self, *, keep: bool = True):
        supervisor = Supervisor()
        index_sync = IndexSync(
            self.database,
            supervisor,
            self.models,
            Snapshots(self.folder if keep else None, shares_pages=True),
            poll_interval_s=30,
            snapshot_interval_s=0.01,
        )
        with capture_logs() as logs:
            await index_sync.start()
        index_sync.loaded = next(entry for entry in logs if entry["event"] == "index_loaded")
        # Once each: codes and perceptual hashes have a file of their own.
        index_sync.warned = sorted({entry["event"] for entry in logs if entry["log_level"] == "warning"})
        try:
            yield index_sync
        finally:
            await supervisor.close()
            await index_sync.close()

    def files(self) -> list[Path]:
        """Return the files of codes, without those of perceptual hashes."""
        return [path for path in sorted(self.folder.glob("*.index")) if PERCEPTUAL_DIGEST not in path.name]


def held(index_sync) -> dict[int, int]:
    """Return the codes of all pictures in the default collection, by insertion number."""
    view = index_sync.catalogue.collection("default").index.view()
    numbers = view.sample_numbers(100_000)
    numbers, codes = view.codes_of(numbers)
    return dict(zip(numbers.tolist(), codes[:, 0].tolist(), strict=True))


async def stored(database, collection) -> dict[int, int]:
    async with database.read() as unit:
        records = await unit.images.page(collection.pk, 0, 100_000)
        codes = await unit.images.codes_of(collection.pk, MODEL, [record.number for record in records])
    return {number: int.from_bytes(code, "little") for number, code in codes.items()}


@pytest.fixture
async def collection(database):
    made = await make_collection(database)
    await add(database, made, *(new_image(f"p{i}") for i in range(300)))
    return made


@pytest.fixture
async def harness(database, collection, tmp_path):
    """A harness after one start and one stop."""
    harness = Harness(database, tmp_path / "snapshots")
    async with harness.process() as first:
        assert first.loaded["source"] == "database"
    assert len(harness.files()) == 1
    return harness


async def change_everything(database, collection) -> None:
    numbers = await add(database, collection, *(new_image(f"late{i}") for i in range(20)))
    async with database.write() as unit:
        await unit.images.delete(collection.pk, [*numbers[:5], 5, 7])
        page = await unit.images.page(collection.pk, 0, 3)
        await unit.images.replace(collection.pk, page[1].number, new_image("p1", b"other"))
        await unit.images.patch(collection.pk, page[2].number, metadata={"a": 1}, uri=None)


async def test_a_start_opens_the_snapshot_and_follows_the_feed(harness, database, collection):
    await change_everything(database, collection)

    async with harness.process() as again:
        assert (again.loaded["source"], again.warned) == ("snapshot", [])
        assert held(again) == await stored(database, collection)
        assert again.catalogue.version == again.catalogue.collection("default").index.view().version

    assert len(harness.files()) == 1


async def test_changes_after_a_start_from_a_snapshot_are_applied(harness, database, collection):
    async with harness.process() as again:
        await change_everything(database, collection)
        async with database.read() as unit:
            latest = await unit.feed.latest()
        await again.follower.catch_up(latest)
        assert held(again) == await stored(database, collection)

    async with harness.process() as third:
        assert third.loaded["source"] == "snapshot"
        assert held(third) == await stored(database, collection)


@pytest.mark.parametrize("place", [0, 10, 50, 5_000])
async def test_a_damaged_snapshot_is_detected_and_rebuilt(harness, database, collection, place):
    (path,) = harness.files()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)

    async with harness.process() as again:
        assert (again.loaded["source"], again.warned) == ("database", ["snapshot_refused"])
        assert held(again) == await stored(database, collection)
    async with harness.process() as third:
        assert third.loaded["source"] == "snapshot"


async def test_a_truncated_snapshot_is_detected(harness, database, collection):
    (path,) = harness.files()
    os.truncate(path, path.stat().st_size // 2)

    async with harness.process() as again:
        assert again.loaded["source"] == "database"
        assert held(again) == await stored(database, collection)


async def test_a_snapshot_of_another_model_is_not_used(harness):
    (path,) = harness.files()
    harness.models.digest = "cd" * 32
    shutil.copy(path, path.with_name(path.name.replace("ab" * 8, "cd" * 8)))

    async with harness.process() as again:
        assert (again.loaded["source"], again.warned) == ("database", ["snapshot_refused"])


async def test_a_snapshot_older_than_the_feed_is_not_used(harness, database, collection):
    await change_everything(database, collection)
    async with database.write() as unit:
        await unit.feed.prune(await unit.feed.latest())

    async with harness.process() as again:
        assert (again.loaded["source"], again.warned) == ("database", ["snapshot_refused"])
        assert held(again) == await stored(database, collection)


@pytest.mark.parametrize("goes_on", [False, True])
async def test_an_older_copy_of_the_database_is_detected(tmp_path, sqlite_url, goes_on):
    copy = tmp_path / "copy.db"
    database = Database.open(sqlite_url)
    made = await make_collection(database)
    await add(database, made, *(new_image(f"p{i}") for i in range(50)))
    await database.close()
    shutil.copy(tmp_path / "lookalike.db", copy)

    database = Database.open(sqlite_url)
    await add(database, made, *(new_image(f"lost{i}") for i in range(10)))
    async with Harness(database, tmp_path / "snapshots").process():
        pass
    await database.close()

    older = Database.open(f"sqlite:///{copy}")
    if goes_on:
        await add(older, made, *(new_image(f"instead{i}") for i in range(40)))
    async with Harness(older, tmp_path / "snapshots").process() as again:
        assert (again.loaded["source"], again.warned) == ("database", ["snapshot_refused"])
        assert held(again) == await stored(older, made)
    await older.close()


async def test_two_processes_save_one_after_the_other(harness, database, collection):
    await change_everything(database, collection)
    async with harness.process() as one, harness.process() as two:
        assert held(one) == held(two)
        await add(database, collection, new_image("last", b"last"))
        async with database.read() as unit:
            latest = await unit.feed.latest()
        await one.follower.catch_up(latest)

    assert len(harness.files()) == 1
    async with harness.process() as third:
        assert third.loaded["source"] == "snapshot"
        assert int.from_bytes(code_for(b"last"), "little") in held(third).values()


async def test_a_snapshot_is_saved_while_the_process_runs(database, tmp_path):
    made = await make_collection(database)
    await add(database, made, *(new_image(f"p{i}") for i in range(1_200)))
    harness = Harness(database, tmp_path / "snapshots")
    async with harness.process():
        for _ in range(1_000):
            if harness.files():
                break
            await asyncio.sleep(0.01)
        assert harness.files()


async def test_temporary_files_and_unused_snapshots_are_swept(harness):
    (path,) = harness.files()
    temporary = harness.folder / f".{path.name}.x7k2"
    dead, fresh = harness.folder / "99-00.index", harness.folder / "98-00.index"
    for file in (temporary, dead, fresh):
        file.write_bytes(b"x")
    os.utime(dead, (0, time.time() - STALE_AFTER_S - 1))

    Snapshots(harness.folder).sweep([_name(path)])

    left = {p.name for p in harness.folder.iterdir() if PERCEPTUAL_DIGEST not in p.name}
    assert left == {".lock", fresh.name, path.name}


def _name(path: Path) -> SnapshotName:
    return SnapshotName(path.name, "")


async def test_searches_work_without_a_writable_snapshot_folder(database, collection, tmp_path):
    (tmp_path / "snapshots").write_text("a file where the folder should be")
    harness = Harness(database, tmp_path / "snapshots")

    async with harness.process() as process:
        assert len(held(process)) == 300


async def test_snapshots_can_be_switched_off(harness, database, collection):
    (path,) = harness.files()
    before = path.stat().st_mtime_ns
    await add(database, collection, new_image("another"))

    async with harness.process(keep=False) as process:
        assert process.loaded["source"] == "database"

    assert path.stat().st_mtime_ns == before


async def test_a_slow_model_holds_no_transaction_open(database, collection, tmp_path):
    """Postgres ends a transaction that is idle for long."""
    harness = Harness(database, tmp_path / "snapshots")
    slow = OneModel()
    harness.models = slow
    served: list[str] = []

    async def serving(name):
        # The first call loads the model, later ones take it from memory.
        if not served:
            await all_transactions_end(database)
        served.append(name)
        return await OneModel.serving(slow, name)

    slow.serving = serving
    async with harness.process() as process:
        assert len(held(process)) == 300


async def all_transactions_end(database: Database) -> None:
    for _ in range(1_000):
        if not any(
            pool.checkedout() for pool in (database._engines.readers.pool, database._engines.writers.pool)
        ):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("a transaction is open")


async def shares_what_is_saved(*processes):
    """Wait until processes share the pages of one snapshot, and return its version."""
    indexes = [process.catalogue.collection("default").index for process in processes]
    for _ in range(2_000):
        versions = {index.shared_version for index in indexes}
        if len(versions) == 1 and all(index.view().own_rows == 0 for index in indexes):
            return versions.pop()
        await asyncio.sleep(0.01)
    raise AssertionError(versions)


async def test_a_process_that_read_rows_replaces_its_copy_by_the_shared_pages(database, collection, tmp_path):
    await add(database, collection, *(new_image(f"more{i}") for i in range(SLACK)))
    harness = Harness(database, tmp_path)
    async with harness.process() as first, harness.process() as second:
        assert first.loaded["source"] == "database"
        await shares_what_is_saved(first, second)
        for process in (first, second):
            assert held(process) == await stored(database, collection)

        await change_everything(database, collection)
        for process in (first, second):
            async with database.read() as unit:
                await process.follower.catch_up(await unit.feed.latest())
            assert held(process) == await stored(database, collection)


async def test_processes_share_the_pages_of_the_newest_snapshot(database, collection, tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "SHARE_EVERY_S", 0)
    await add(database, collection, *(new_image(f"more{i}") for i in range(SLACK)))
    harness = Harness(database, tmp_path)
    async with harness.process() as first, harness.process() as second:
        before = await shares_what_is_saved(first, second)

        await add(database, collection, *(new_image(f"few{i}") for i in range(1_000)))
        for process in (first, second):
            async with database.read() as unit:
                await process.follower.catch_up(await unit.feed.latest())

        # Few enough that neither would have to.
        assert await shares_what_is_saved(first, second) > before
        for process in (first, second):
            assert held(process) == await stored(database, collection)


async def test_the_snapshot_of_an_unchanged_collection_is_saved_again_before_the_feed_is_pruned(
    harness, database, collection, monkeypatch
):
    """Changes of other collections leave it behind until the feed is pruned past its version."""
    monkeypatch.setattr("app.services.index_sync.snapshot_keeper.MAX_CHANGES_BEHIND", 10)
    other = await make_collection(database, "other")
    await add(database, other, *(new_image(f"o{i}") for i in range(30)))
    async with database.read() as unit:
        latest = await unit.feed.latest()

    async with harness.process() as running:
        for _ in range(500):
            if running.catalogue.collection("default").snapshot_version == latest:
                break
            await asyncio.sleep(0.02)
    async with database.write() as unit:
        await unit.feed.prune(before=latest + 1)

    async with harness.process() as again:
        assert (again.loaded["source"], again.warned) == ("snapshot", [])


async def test_perceptual_hashes_are_loaded_from_a_snapshot_or_from_rows(harness, database, collection):
    [number] = await add(database, collection, new_image("hashed", perceptual_hash=bytes(range(32))))
    expected = int.from_bytes(bytes(range(8)), "little")

    for lost in (False, True):
        async with harness.process() as again:
            code = again.catalogue.collection("default").hashes.view().code_of(number)
            assert (again.loaded["source"], again.warned) == ("snapshot", [])
            assert code[0] == expected
        files = [path for path in harness.folder.glob("*.index") if PERCEPTUAL_DIGEST in path.name]
        assert len(files) == 1
        if not lost:
            files[0].unlink()
