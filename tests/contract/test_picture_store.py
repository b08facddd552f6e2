"""What every picture store does, in a folder as in memory."""

from datetime import UTC, datetime, timedelta

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


@pytest.mark.anyio
async def test_no_half_file_is_left_in_a_folder(tmp_path):
    store = ObstorePictureStore((tmp_path / "store").as_uri())

    await store.put(NAME, CONTENT)

    files = [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert files == [NAME]
