"""What every picture store does, in a folder as in memory."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.errors import PictureGone, StorageUnavailable
from app.domain.ids import sha256_hex
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

    async def test_what_was_not_put_is_gone(self, store):
        assert not await store.exists(NAME)
        assert await store.last_modified(NAME) is None
        with pytest.raises(PictureGone):
            await store.get(NAME)

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
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    await store.put_many({sha256_hex(octets): octets for octets in (b"one", b"two", b"three")})

    kept = set((tmp_path / "store").rglob("*"))
    assert sum(path.is_file() for path in kept) == 3
    assert synced == kept | {tmp_path / "store"}
