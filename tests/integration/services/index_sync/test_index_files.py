"""Snapshot files are compared with the database on request, and repaired."""

import os
import shutil
import time
from dataclasses import replace

import pytest

from app.index.snapshot import read_snapshot, write_snapshot
from app.services.index_sync.index_files import IndexFileFault, IndexFiles
from app.services.index_sync.snapshots import STALE_AFTER_S, SnapshotName, Snapshots
from tests.integration.services.index_sync.test_snapshots import Harness, change_everything
from tests.integration.store.pictures import BITS, MODEL, add, make_collection, new_image

pytestmark = pytest.mark.anyio


@pytest.fixture
async def collection(database):
    made = await make_collection(database)
    await add(database, made, *(new_image(f"p{i}") for i in range(300)))
    return made


@pytest.fixture
async def harness(database, collection, tmp_path):
    """A harness after one start and one stop."""
    harness = Harness(database, tmp_path / "snapshots")
    async with database.read() as unit:
        [model] = [model for model in await unit.models.list() if model.name == MODEL]
    harness.models.digest = model.digest
    async with harness.process():
        pass
    return harness


@pytest.fixture
def index_files(harness) -> IndexFiles:
    return IndexFiles(harness.database, Snapshots(harness.folder))


def damage(harness, name) -> None:
    content = bytearray(harness.files()[0].read_bytes())
    content[-9] ^= 1
    harness.files()[0].write_bytes(content)


def rename_within(harness, name) -> None:
    """Replace the file by an intact one of another collection."""
    path = harness.files()[0]
    snapshot = read_snapshot(path, bits=BITS, owner=name.owner)
    write_snapshot(path, replace(snapshot, owner="another"))


def alter_one_code(harness, name) -> None:
    path = harness.files()[0]
    snapshot = read_snapshot(path, bits=BITS, owner=name.owner)
    columns = snapshot.columns.copy()
    columns[0, 137] ^= 1
    write_snapshot(path, replace(snapshot, columns=columns))


def leave_one_out(harness, name) -> None:
    path = harness.files()[0]
    snapshot = read_snapshot(path, bits=BITS, owner=name.owner)
    write_snapshot(
        path, replace(snapshot, numbers=snapshot.numbers[1:], columns=snapshot.columns[:, 1:].copy())
    )


def set_ahead(harness, name) -> None:
    """Set the file's version past the database's, as after the database was replaced by an older copy."""
    path = harness.files()[0]
    snapshot = read_snapshot(path, bits=BITS, owner=name.owner)
    write_snapshot(path, replace(snapshot, version=snapshot.version + 1_000_000))


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (damage, IndexFileFault.DAMAGED),
        (rename_within, IndexFileFault.FOREIGN),
        (set_ahead, IndexFileFault.FOREIGN),
        (alter_one_code, IndexFileFault.DIFFERS),
        (leave_one_out, IndexFileFault.DIFFERS),
    ],
)
async def test_a_faulty_file_is_reported_and_repaired(harness, index_files, collection, harm, fault):
    harm(harness, SnapshotName.of(collection, harness.models.digest))

    [faulty] = await index_files.check()
    await index_files.repair(faulty)

    assert (faulty.file, faulty.fault) == (harness.files()[0].name, fault)
    assert await index_files.check() == []
    async with harness.process() as again:
        assert (again.loaded["source"], again.loaded["pictures"]) == ("snapshot", 300)


async def test_changes_after_the_files_version_are_no_fault(harness, index_files, collection, database):
    await change_everything(database, collection)

    assert await index_files.check() == []


async def test_a_file_older_than_the_feed_is_outdated(harness, index_files, collection, database):
    await change_everything(database, collection)
    async with database.write() as unit:
        await unit.feed.prune(await unit.feed.latest())

    found = await index_files.check()
    for faulty in found:
        await index_files.repair(faulty)

    assert [faulty.fault for faulty in found] == [IndexFileFault.OUTDATED] * 2
    async with harness.process() as again:
        assert again.loaded["source"] == "snapshot"


async def test_an_unused_file_is_reported_once_it_is_old(harness, index_files):
    [own] = harness.files()
    other = own.with_name("99-feedfeedfeedfeed.index")
    shutil.copyfile(own, other)
    at_first = await index_files.check()
    os.utime(other, (time.time() - STALE_AFTER_S - 1,) * 2)

    [faulty] = await index_files.check()
    await index_files.repair(faulty)

    assert at_first == []
    assert (faulty.file, faulty.fault) == (other.name, IndexFileFault.FOREIGN)
    assert harness.files() == [own]


async def test_without_files_no_fault_is_reported(database, collection):
    assert await IndexFiles(database, Snapshots(None)).check() == []
