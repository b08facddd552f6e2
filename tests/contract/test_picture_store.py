"""What every picture store does, in a folder as in memory."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import obstore
import pytest

from app.domain.errors import FileDamaged, PictureGone, StorageFull, StorageUnavailable
from app.domain.ids import sha256_hex
from app.images.objects import CALLS, PIECE_BYTES, ObstoreObjects
from app.images.storage import ObstorePictureStore

CONTENT = b"the bytes of a picture"
NAME = sha256_hex(CONTENT)


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path):
    url = (tmp_path / "store").as_uri() if request.param == "file" else "memory:///"
    return ObstorePictureStore(url)


@pytest.mark.anyio
class TestEveryStore:
    async def test_what_was_put_is_got(self, store):
        await store.put(NAME, CONTENT)

        assert await store.get(NAME) == CONTENT
        assert await store.exists(NAME)

    @pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
    async def test_what_was_put_is_read_in_pieces(self, store, size):
        content = os.urandom(size)
        await store.put(NAME, content)

        read = await store.read(NAME)
        pieces = [piece async for piece in read.pieces]
        assert read.size_bytes == size
        assert b"".join(pieces) == content
        assert max(map(len, pieces)) <= PIECE_BYTES

    async def test_what_is_read_in_pieces_is_not_read_ahead(self, store):
        await store.put(NAME, os.urandom(3 * PIECE_BYTES))
        read = await store.read(NAME)
        await anext(read.pieces)
        await store.delete(NAME)

        with pytest.raises((StorageUnavailable, PictureGone)):
            await anext(read.pieces)

    async def test_a_file_that_has_changed_is_not_got(self, store):
        await store.put(NAME, CONTENT[:-1])

        with pytest.raises(FileDamaged):
            await store.get(NAME)

    async def test_a_thumbnail_that_has_changed_is_none(self, store):
        await store.put_thumbnail(NAME, 64, b"a thumbnail")
        assert await store.get_thumbnail(NAME, 64) == b"a thumbnail"
        key = f"thumbnails/{NAME[:2]}/{NAME[2:4]}/{NAME}-64"
        stored = await store._objects.get(key)

        for damaged in (stored[:-1], stored[:20], b"", stored[:-1] + b"x", b"a thumbnail of an older version"):
            await store._objects.put(key, damaged)
            assert await store.get_thumbnail(NAME, 64) is None

    async def test_what_was_not_put_is_gone(self, store):
        assert not await store.exists(NAME)
        assert await store.last_modified(NAME) is None
        with pytest.raises(PictureGone):
            await store.get(NAME)
        with pytest.raises(PictureGone):
            await store.read(NAME)

    async def test_putting_again_changes_nothing_but_the_age(self, store):
        await store.put(NAME, CONTENT)
        first = await store.last_modified(NAME)
        await store.put(NAME, CONTENT)

        assert await store.get(NAME) == CONTENT
        assert await store.last_modified(NAME) >= first
        assert datetime.now(UTC) - first < timedelta(minutes=1)

    async def test_many_are_put_and_missed_as_one_is(self, store):
        contents = {sha256_hex(octets): octets for octets in (b"one", b"two", b"three", b"four", b"five")}
        await store.put_many(contents)
        await store.put_many({})

        assert {sha256: await store.get(sha256) for sha256 in contents} == contents
        assert await store.missing([NAME, *contents]) == [NAME]
        assert await store.missing([]) == []

    async def test_deleting_forgets_the_thumbnails_too(self, store):
        await store.put(NAME, CONTENT)
        await store.put_thumbnail(NAME, 256, b"small")

        await store.delete(NAME)

        assert not await store.exists(NAME)
        assert await store.get_thumbnail(NAME, 256) is None
        await store.delete(NAME)

    async def test_thumbnails_are_kept_by_size(self, store):
        await store.put_thumbnail(NAME, 64, b"tiny")
        await store.put_thumbnail(NAME, 256, b"small")

        assert await store.get_thumbnail(NAME, 64) == b"tiny"
        assert await store.get_thumbnail(NAME, 128) is None


@pytest.mark.anyio
async def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path):
    store = ObstorePictureStore((tmp_path / "store").as_uri())
    (tmp_path / "store" / "pictures").write_text("in the way")

    with pytest.raises(StorageUnavailable):
        await store.put(NAME, CONTENT)
    with pytest.raises(StorageUnavailable):
        await store.put_many({NAME: CONTENT})


@pytest.mark.anyio
async def test_no_half_file_is_left_in_a_folder(tmp_path):
    store = ObstorePictureStore((tmp_path / "store").as_uri())

    await store.put(NAME, CONTENT)

    files = [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert files == [NAME]


@pytest.mark.anyio
async def test_files_put_together_are_synced_with_every_folder_above_them(tmp_path, monkeypatch):
    store = ObstorePictureStore((tmp_path / "store").as_uri())
    synced = set()
    real = os.fsync

    def note(descriptor):
        synced.add(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    await store.put_many({sha256_hex(octets): octets for octets in (b"one", b"two", b"three")})

    kept = [tmp_path / "store", *(tmp_path / "store" / "pictures").rglob("*"), tmp_path / "store" / "pictures"]
    assert sum(path.is_file() for path in kept) == 3
    assert synced == {path.stat().st_ino for path in kept}


KILLED_AT_THE_SYNC = """
import asyncio, os, signal, sys
from app.images.storage import ObstorePictureStore
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(getattr(ObstorePictureStore(sys.argv[1]), sys.argv[2])(*eval(sys.argv[3])))
"""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "arguments"), [("put", (NAME, CONTENT)), ("put_many", ({NAME: CONTENT},))], ids=["one", "many"]
)
async def test_a_process_killed_while_it_writes_leaves_no_picture_and_what_it_leaves_is_removed(
    tmp_path, method, arguments
):
    url, incoming = (tmp_path / "store").as_uri(), tmp_path / "store" / "incoming"
    objects = ObstoreObjects(url)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED_AT_THE_SYNC, url, method, repr(arguments)], check=False
    )

    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert done.returncode == -signal.SIGKILL
    assert [path.parent for path in files] == [incoming]
    assert not await ObstorePictureStore(url).exists(NAME)
    # Another process may be writing it.
    assert await objects.remove_unfinished() == 0
    assert files[0].exists()
    os.utime(files[0], (0, 0))
    assert await objects.remove_unfinished() == 1
    assert list(incoming.iterdir()) == []

    await ObstorePictureStore(url).put(NAME, CONTENT)
    assert await ObstorePictureStore(url).get(NAME) == CONTENT


@pytest.mark.anyio
async def test_unfinished_files_of_old_versions_are_removed_once(tmp_path):
    folder = tmp_path / "store" / "pictures" / "ab"
    folder.mkdir(parents=True)
    for name in ("abcd", "abcd#1", "abcd#12"):
        (folder / name).write_bytes(b"x")
    objects = ObstoreObjects((tmp_path / "store").as_uri())

    assert await objects.remove_unfinished() == 2

    assert [path.name for path in folder.iterdir()] == ["abcd"]
    assert await objects.remove_unfinished() == 0


@pytest.mark.anyio
async def test_a_file_that_cannot_be_written_whole_leaves_nothing(tmp_path, monkeypatch):
    store = ObstorePictureStore((tmp_path / "store").as_uri())

    def fail(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageFull):
        await store.put(NAME, CONTENT)

    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


@pytest.mark.anyio
@pytest.mark.parametrize("put_back", [True, False])
async def test_a_folder_that_is_gone_is_unavailable_and_not_created_again(tmp_path, put_back):
    """An unmounted folder: nothing may be stored beneath the mount point, and nothing there means nothing."""
    folder, aside = tmp_path / "store", tmp_path / "aside"
    store = ObstorePictureStore(folder.as_uri())
    await store.put(NAME, CONTENT)
    folder.rename(aside)
    if not put_back:
        folder.mkdir()  # the mount point

    for call in (
        store.put(NAME, CONTENT),
        store.put_many({NAME: CONTENT}),
        store.get(NAME),
        store.read(NAME),
        store.exists(NAME),
        store.missing([NAME]),
        store.put_thumbnail(NAME, 64, b"x"),
        store.get_thumbnail(NAME, 64),
    ):
        with pytest.raises(StorageUnavailable):
            await call
    assert not list(folder.rglob("*"))
    if not put_back:
        folder.rmdir()
    aside.rename(folder)

    assert await store.get(NAME) == CONTENT
    await store.put(NAME, CONTENT)


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["file", "memory"])
async def test_a_store_makes_few_calls_at_a_time(tmp_path, monkeypatch, scheme):
    """The library takes up to two threads for each call: a sweep of 32 pictures took 300."""
    running, most = 0, 0

    def counted(call):
        async def count(*args, **kwargs):
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                await asyncio.sleep(0)
                return await call(*args, **kwargs)
            finally:
                running -= 1

        return count

    for name in ("put_async", "head_async", "get_async", "get_range_async", "delete_async"):
        monkeypatch.setattr(obstore, name, counted(getattr(obstore, name)))
    objects = ObstoreObjects((tmp_path / "store").as_uri() if scheme == "file" else "memory:///")
    files = {f"folder/{i}": b"content" for i in range(2 * CALLS)}
    await objects.put_many(files)

    for call in (objects.last_modified, objects.get, objects.read, objects.delete):
        most = 0
        await asyncio.gather(*(call(key) for key in files))
        assert most == CALLS
    assert await objects.missing(list(files)) == list(files)
    assert most == CALLS
    assert running == 0
