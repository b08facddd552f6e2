"""Bytes by key in a local folder or an object store: pictures, artifacts, checkpoints and backups lie there."""

import asyncio
import errno
import math
import os
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from app.domain.errors import StorageFull, StorageUnavailable

T = TypeVar("T")

WRITERS: Final = 4
"""Threads that write many files to a folder: while one waits for the disk, another one writes."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Objects(Protocol):
    """Keeps bytes under keys like ``models/3f/3f9a…``.

    Every method raises ``StorageUnavailable`` where the store does not answer.
    """

    async def put(self, key: str, content: bytes, *, durable: bool = True) -> None:
        """Keep ``content`` whole, in the place of what was there.

        Args:
            key: Where.
            content: What.
            durable: Whether it must survive a power cut once this returns.

        Raises:
            StorageFull: There is no space left.
        """

    async def put_many(self, files: Mapping[str, bytes]) -> None:
        """Keep files by their keys, as ``put`` does one: each whole, all of them durably once this returns.

        Raises:
            StorageFull: There is no space left; some may be kept.
        """

    async def missing(self, keys: Sequence[str]) -> list[str]:
        """Those keys under which nothing is kept."""

    async def get(self, key: str) -> bytes | None:
        """What is kept under a key; None where nothing is."""

    async def last_modified(self, key: str) -> datetime | None:
        """When it was put last, in UTC; None where nothing is."""

    async def delete(self, key: str) -> None:
        """Forget a key; no error where nothing is kept under it."""

    async def folders(self, prefix: str) -> list[str]:
        """The names of the folders right below ``prefix``, in order."""

    async def list(self, prefix: str) -> list[str]:
        """Every key below ``prefix``, a folder, in order."""


class ObstoreObjects:
    """Objects wherever obstore reaches: ``file://``, ``memory://``, ``s3://``, ``gs://``, ``az://``."""

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

    async def put(self, key: str, content: bytes, *, durable: bool = True) -> None:
        """Keep ``content`` whole, in the place of what was there."""
        with store_faults():
            await obstore.put_async(self._store, key, content)
            if durable and self._root is not None:
                await asyncio.to_thread(sync_files, [self._root / key], self._root)

    async def put_many(self, files: Mapping[str, bytes]) -> None:
        """Keep files by their keys: each whole, all of them durably once this returns."""
        with store_faults():
            if self._root is None:
                await asyncio.gather(*(obstore.put_async(self._store, *file) for file in files.items()))
                return
            # A thread writes its share whole: a turn of the event loop for each step of each file costs more
            # than the file. Neighbours go to one share, as they have folders in common.
            keys = sorted(files)
            size = max(1, math.ceil(len(keys) / WRITERS))
            shares = [keys[i : i + size] for i in range(0, len(keys), size)]
            await asyncio.gather(*(asyncio.to_thread(self._put_share, self._root, files, s) for s in shares))

    def _put_share(self, root: Path, files: Mapping[str, bytes], keys: Sequence[str]) -> None:
        for key in keys:
            obstore.put(self._store, key, files[key])
        sync_files([root / key for key in keys], root)

    async def missing(self, keys: Sequence[str]) -> list[str]:
        """Those keys under which nothing is kept."""
        with store_faults():
            if self._root is not None:
                return await asyncio.to_thread(_missing_files, self._root, keys)
            found = await asyncio.gather(
                *(_unless_missing(obstore.head_async(self._store, key)) for key in keys)
            )
        return [key for key, meta in zip(keys, found, strict=True) if meta is None]

    async def get(self, key: str) -> bytes | None:
        """What is kept under a key; None where nothing is."""
        with store_faults():
            found = await _unless_missing(obstore.get_async(self._store, key))
            return None if found is None else bytes(await found.bytes_async())

    async def last_modified(self, key: str) -> datetime | None:
        """When it was put last, in UTC; None where nothing is."""
        with store_faults():
            meta = await _unless_missing(obstore.head_async(self._store, key))
        return None if meta is None else meta["last_modified"]

    async def delete(self, key: str) -> None:
        """Forget a key; no error where nothing is kept under it."""
        with store_faults():
            await _unless_missing(obstore.delete_async(self._store, key))

    async def folders(self, prefix: str) -> list[str]:
        """The names of the folders right below ``prefix``, in order."""
        with store_faults():
            listed = await obstore.list_with_delimiter_async(self._store, prefix)
        return sorted(str(folder).rstrip("/").rsplit("/", 1)[-1] for folder in listed["common_prefixes"])

    async def list(self, prefix: str) -> list[str]:
        """Every key below ``prefix``, a folder, in order."""
        with store_faults():
            batches = [batch async for batch in obstore.list(self._store, prefix)]
        return sorted(meta["path"] for batch in batches for meta in batch)


async def _unless_missing(call: Awaitable[T]) -> T | None:
    try:
        return await call
    except FileNotFoundError:
        return None


@contextmanager
def store_faults() -> Iterator[None]:
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


def sync_files(paths: Iterable[Path], root: Path) -> None:
    """Have files and their names survive a power cut: the store renames into place but does not sync."""
    # As text: path objects for the folders above took 20 microseconds a file.
    top = str(root)
    folders: dict[str, None] = {}
    for path in map(str, paths):
        _sync(path)
        # The folders too, as any of the levels may be new; one that did not change costs next to nothing.
        folder = path.rpartition("/")[0]
        while len(folder) >= len(top) and folder not in folders:
            folders[folder] = None
            folder = folder.rpartition("/")[0]
    for folder in folders:
        _sync(folder)


def _sync(place: str) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing_files(root: Path, keys: Sequence[str]) -> list[str]:
    return [key for key in keys if not (root / key).is_file()]
