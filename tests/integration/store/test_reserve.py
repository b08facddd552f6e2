"""On a full disk nothing can be added, but pictures can be deleted: some space is reserved for that."""

import errno
from pathlib import Path

import pytest

from app.domain.errors import StorageFull
from app.store.driver import reserve
from app.store.engine import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "lookalike.db.reserve"


@pytest.fixture
async def sqlite(sqlite_url):
    database = Database.open(sqlite_url)
    yield database
    await database.close()


async def test_space_is_reserved_before_anything_is_added(sqlite, file):
    assert not file.exists()

    await sqlite.check_room()
    await sqlite.check_room()

    assert file.stat().st_size == reserve.RESERVE_BYTES
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(file.name)] == [file.name]


async def test_nothing_is_added_where_no_space_can_be_reserved(sqlite, file, monkeypatch):
    def fail(_path, _content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)

    with pytest.raises(StorageFull, match="delete pictures"):
        await sqlite.check_room()
    assert not file.exists()


async def test_a_deletion_uses_the_reserve_on_a_full_disk_and_takes_it_again(sqlite, file, monkeypatch):
    await sqlite.check_room()
    # Every disk that holds anything counts as full now.
    monkeypatch.setattr(reserve, "LOW_BYTES", 1 << 62)
    monkeypatch.setattr(reserve, "_MIN_DISK_PART", 1)
    async with sqlite.write() as unit:
        await unit.secrets.get_or_create("written to the log")
    log = file.with_name("lookalike.db-wal")
    assert log.stat().st_size > 0

    monkeypatch.setattr(reserve, "RESERVE_BYTES", 4_096)
    async with sqlite.freeing() as unit:
        assert not file.exists()
        assert log.stat().st_size == 0
        await unit.secrets.get_or_create("written while space is freed")

    assert file.exists()
    async with sqlite.read() as unit:
        assert await unit.secrets.get("written while space is freed") is not None


async def test_a_deletion_on_a_disk_with_room_leaves_the_reserve_alone(sqlite, file, monkeypatch):
    monkeypatch.setattr(reserve, "LOW_BYTES", 0)
    await sqlite.check_room()
    before = file.stat().st_ino

    async with sqlite.freeing() as unit:
        assert file.exists()
        await unit.secrets.get_or_create("x")

    assert file.stat().st_ino == before
