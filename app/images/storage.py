"""Where the bytes of pictures live: a local folder or an object store, addressed by SHA-256."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from app.domain.errors import PictureGone, StorageFull, StorageUnavailable

T = TypeVar("T")

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class PictureStore(Protocol):
    """Keeps files by their SHA-256, and thumbnails beside them.

    Every method raises ``StorageUnavailable`` where the store does not answer.
    """

    async def put(self, sha256: str, content: bytes) -> None:
        """Keep ``content`` whole and durably before returning; keeping it again refreshes its age.

        Raises:
            StorageFull: There is no space left.
        """

    async def get(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            PictureGone: They are not kept.
        """

    async def exists(self, sha256: str) -> bool:
        """Whether they are kept."""

    async def last_modified(self, sha256: str) -> datetime | None:
        """When they were kept last, in UTC, or nothing where they are not."""

    async def delete(self, sha256: str) -> None:
        """Forget the bytes and their thumbnails; no error where there are none."""

    async def put_thumbnail(self, sha256: str, size: int, content: bytes) -> None:
        """Keep a thumbnail; it may be lost, as it can be made again."""

    async def get_thumbnail(self, sha256: str, size: int) -> bytes | None:
        """A kept thumbnail, or nothing."""


class ObstorePictureStore:
    """A picture store on whatever obstore reaches: ``file://``, ``memory://``, ``s3://``, ``gs://``, ``az://``."""

    THUMBNAIL_SIZES: Final = (64, 128, 256, 512)

    def __init__(self, url: str) -> None:
        """Use the store at ``url``; a local folder is created."""
        parts = urlsplit(url)
        self._root: Path | None = None
        self._store: ObjectStore
        if parts.scheme == "file":
            self._root = Path(url2pathname(parts.path))
            self._store = LocalStore(self._root, mkdir=True)
        else:
            self._store = from_url(url)

    async def put(self, sha256: str, content: bytes) -> None:
        """Keep ``content`` whole and durably before returning; keeping it again refreshes its age."""
        key = _picture(sha256)
        with _store_faults():
            await obstore.put_async(self._store, key, content)
            if self._root is not None:
                await asyncio.to_thread(_sync, self._root / key)

    async def get(self, sha256: str) -> bytes:
        """The bytes."""
        content = await self._get(_picture(sha256))
        if content is None:
            raise PictureGone("the picture's bytes are no longer in the store")
        return content

    async def exists(self, sha256: str) -> bool:
        """Whether they are kept."""
        return await self.last_modified(sha256) is not None

    async def last_modified(self, sha256: str) -> datetime | None:
        """When they were kept last, in UTC, or nothing where they are not."""
        with _store_faults():
            meta = await _unless_missing(obstore.head_async(self._store, _picture(sha256)))
        return None if meta is None else meta["last_modified"]

    async def delete(self, sha256: str) -> None:
        """Forget the bytes and their thumbnails; no error where there are none."""
        keys = [_picture(sha256), *(_thumbnail(sha256, size) for size in self.THUMBNAIL_SIZES)]
        with _store_faults():
            for key in keys:
                await _unless_missing(obstore.delete_async(self._store, key))

    async def put_thumbnail(self, sha256: str, size: int, content: bytes) -> None:
        """Keep a thumbnail; it may be lost, as it can be made again."""
        with _store_faults():
            await obstore.put_async(self._store, _thumbnail(sha256, size), content)

    async def get_thumbnail(self, sha256: str, size: int) -> bytes | None:
        """A kept thumbnail, or nothing."""
        return await self._get(_thumbnail(sha256, size))

    async def _get(self, key: str) -> bytes | None:
        with _store_faults():
            found = await _unless_missing(obstore.get_async(self._store, key))
            return None if found is None else bytes(await found.bytes_async())


def _picture(sha256: str) -> str:
    # Two levels, so that no folder of a million pictures holds more than a few hundred entries.
    return f"pictures/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def _thumbnail(sha256: str, size: int) -> str:
    return f"thumbnails/{sha256[:2]}/{sha256[2:4]}/{sha256}-{size}"


async def _unless_missing(call: Awaitable[T]) -> T | None:
    try:
        return await call
    except FileNotFoundError:
        return None


@contextmanager
def _store_faults() -> Iterator[None]:
    """Turn the store's errors into ours; what they say may hold paths and stays out of answers."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL or "No space left" in str(error) or "quota exceeded" in str(error):
            raise StorageFull from error
        raise StorageUnavailable from error
    except BaseError as error:
        if "No space left" in str(error) or "quota exceeded" in str(error):
            raise StorageFull from error
        raise StorageUnavailable from error


def _sync(path: Path) -> None:
    """Have a file and its name survive a power cut: the store renames into place but does not sync."""
    # The folders too, as any of the three levels may be new; one that did not change costs next to nothing.
    for place in (path, *path.parents[:3]):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
