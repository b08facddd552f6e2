"""A key-value store for bytes (pictures, artifacts, checkpoints, backups) in a local folder or an object store.

In a local folder, files are written to ``incoming/`` and then renamed to their keys. Unfinished files of killed
processes stay in ``incoming/`` until ``remove_unfinished`` removes them.
"""

import asyncio
import errno
import math
import os
import re
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError
from obstore.store import LocalStore, ObjectStore, from_url

from app.domain.errors import LookalikeError, StorageFull, StorageUnavailable
from app.images.folders import SameFolder
from app.scratch import remove_older_than
from app.telemetry.metrics import STORE_ERRORS

if TYPE_CHECKING:
    from obstore import ObjectMeta

T = TypeVar("T")

WRITERS: Final = 4
"""Threads that write many files to a folder, so that one writes while others wait for the disk."""

CALLS: Final = 16
"""Concurrent calls to obstore, which takes up to two threads for each; they live on for ten seconds."""

UNFINISHED_KEPT_S: Final = 3_600.0
"""Seconds without a change after which an unfinished file counts as left by a killed process."""

_INCOMING: Final = "incoming"
PIECE_BYTES: Final = 262_144

_PART: Final = re.compile(r"#\d+$")
"""Names of unfinished files of versions that wrote files beside their final names."""
_PARTS_REMOVED: Final = ".parts-removed"
"""Marker file in a local folder without such files."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_WRITABLE: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_READ_ONLY: Final = "the picture store denies access: it is read-only, or the service lacks permission"


@dataclass(frozen=True, slots=True)
class Pieces:
    """What is kept under a key, read piece by piece as it is asked for."""

    size_bytes: int
    pieces: AsyncIterator[bytes]


class Objects(Protocol):
    """Protocol of a store of bytes under keys like ``models/3f/3f9a…``.

    Every method raises ``StorageUnavailable`` if the store does not respond.
    """

    async def put(self, key: str, content: bytes, *, durable: bool = True) -> None:
        """Store ``content`` under ``key`` atomically, replacing existing content.

        Args:
            key: Key of the content.
            content: Bytes to store.
            durable: Whether the content must survive a power cut once this returns.

        Raises:
            StorageFull: There is no space left.
        """

    async def put_many(self, files: Mapping[str, bytes]) -> None:
        """Store files by key, each atomically and all durably once this returns.

        Raises:
            StorageFull: There is no space left; some files may be stored.
        """

    async def missing(self, keys: Sequence[str]) -> list[str]:
        """Return the keys that do not exist."""

    async def get(self, key: str) -> bytes | None:
        """Return the content of a key, or None."""

    async def read(self, key: str) -> "Pieces | None":
        """What is kept under a key, piece by piece; None where nothing is."""

    async def last_modified(self, key: str) -> datetime | None:
        """Return when a key was last written, in UTC, or None."""

    async def delete(self, key: str) -> None:
        """Delete a key if it exists."""

    async def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below ``prefix``, sorted."""

    async def list(self, prefix: str) -> list[str]:
        """Return all keys below the folder ``prefix``, sorted."""

    async def remove_unfinished(self) -> int:
        """Remove unfinished files of killed processes; return how many."""

    def check_identity(self) -> None:
        """Look whether the store is the one that was opened. May block on the disk.

        Raises:
            StorageUnavailable: Its folder was removed, replaced or unmounted.
        """


class ObstoreObjects:
    """Store of bytes on any obstore backend: ``file://``, ``memory://``, ``s3://``, ``gs://``, ``az://``."""

    def __init__(self, url: str) -> None:
        """Use the store at ``url``; a local folder is created.

        Raises:
            ValueError: The URL does not name a store.
        """
        parts = urlsplit(url)
        self._calls = asyncio.Semaphore(CALLS)
        self._root: Path | None = None
        self._folder: SameFolder | None = None
        self._store: ObjectStore
        if parts.scheme == "file":
            self._root = Path(url2pathname(parts.path))
            self._store = LocalStore(self._root, mkdir=True)
            self._folder = SameFolder(self._root)
        else:
            try:
                self._store = from_url(url)
            except BaseError as error:
                raise ValueError(str(error).partition("\n")[0]) from error

    async def put(self, key: str, content: bytes, *, durable: bool = True) -> None:
        """Store ``content`` under ``key`` atomically, replacing existing content."""
        with store_faults():
            if self._root is None:
                await self._upload(key, content)
            else:
                self.check_identity()
                await asyncio.to_thread(_write_files, self._root, {key: content}, durable=durable)
                self.check_identity()

    async def put_many(self, files: Mapping[str, bytes]) -> None:
        """Store files by key, each atomically and all durably once this returns."""
        with store_faults():
            if self._root is None:
                await asyncio.gather(*(self._upload(*file) for file in files.items()))
                return
            self.check_identity()
            # Each thread writes its share in one call: a round trip to the event loop per file would cost more
            # than the write. Sorted keys share folders, so neighbours go to the same thread.
            keys = sorted(files)
            size = max(1, math.ceil(len(keys) / WRITERS))
            shares = [{key: files[key] for key in keys[i : i + size]} for i in range(0, len(keys), size)]
            await asyncio.gather(
                *(asyncio.to_thread(_write_files, self._root, share, durable=True) for share in shares)
            )
            self.check_identity()

    async def missing(self, keys: Sequence[str]) -> list[str]:
        """Return the keys that do not exist."""
        with store_faults():
            if self._root is not None:
                self.check_identity()
                return await asyncio.to_thread(_missing_files, self._root, keys)
            found = await asyncio.gather(*(self._head(key) for key in keys))
        return [key for key, meta in zip(keys, found, strict=True) if meta is None]

    async def get(self, key: str) -> bytes | None:
        """Return the content of a key, or None."""
        with store_faults():
            async with self._calls:
                found = await self._unless_missing(obstore.get_async(self._store, key))
                return None if found is None else bytes(await found.bytes_async())

    async def read(self, key: str) -> "Pieces | None":
        """What is kept under a key, piece by piece; None where nothing is."""
        with store_faults():
            meta = await self._head(key)
        if meta is None:
            return None
        size = int(meta["size"])
        # The first piece now, so that what cannot be read is an error before an answer has begun.
        first = await self._piece(key, 0, size)
        return Pieces(size, self._pieces(key, size, first))

    async def _pieces(self, key: str, size: int, first: bytes) -> AsyncIterator[bytes]:
        # By ranges: nothing stays open while whoever asked takes its time.
        yield first
        for start in range(len(first), size, PIECE_BYTES):
            yield await self._piece(key, start, size)

    async def _piece(self, key: str, start: int, size: int) -> bytes:
        if start >= size:
            return b""
        with store_faults():
            end = min(start + PIECE_BYTES, size)
            async with self._calls:
                return bytes(await obstore.get_range_async(self._store, key, start=start, end=end))

    async def last_modified(self, key: str) -> datetime | None:
        """Return when a key was last written, in UTC, or None."""
        with store_faults():
            meta = await self._head(key)
        return None if meta is None else meta["last_modified"]

    async def delete(self, key: str) -> None:
        """Delete a key if it exists."""
        with store_faults():
            async with self._calls:
                await self._unless_missing(obstore.delete_async(self._store, key))

    async def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below ``prefix``, sorted."""
        with store_faults():
            async with self._calls:
                listed = await obstore.list_with_delimiter_async(self._store, prefix)
        return sorted(str(folder).rstrip("/").rsplit("/", 1)[-1] for folder in listed["common_prefixes"])

    async def list(self, prefix: str) -> list[str]:
        """Return all keys below the folder ``prefix``, sorted."""
        with store_faults():
            batches = [batch async for batch in obstore.list(self._store, prefix)]
        return sorted(meta["path"] for batch in batches for meta in batch)

    def check_identity(self) -> None:
        """Look whether the store's folder is the one that was opened; always true for object stores.

        Raises:
            StorageUnavailable: The folder was removed, replaced or unmounted.
        """
        if self._folder is not None:
            self._folder.check()

    async def _upload(self, key: str, content: bytes) -> None:
        async with self._calls:
            await obstore.put_async(self._store, key, content)

    async def _head(self, key: str) -> "ObjectMeta | None":
        async with self._calls:
            return await self._unless_missing(obstore.head_async(self._store, key))

    async def _unless_missing(self, call: Awaitable[T]) -> T | None:
        """Return None for a key that does not exist.

        Raises:
            StorageUnavailable: The whole store is missing, which says nothing of the key.
        """
        try:
            return await call
        except FileNotFoundError:
            self.check_identity()
            return None

    async def remove_unfinished(self) -> int:
        """Remove unfinished files of killed processes; object stores never show incomplete objects."""
        if self._root is None:
            return 0
        with store_faults():
            return await asyncio.to_thread(_remove_unfinished, self._root)


@contextmanager
def store_faults() -> Iterator[None]:
    """Translate the store's errors to domain errors, without their messages, which may contain paths."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL or "No space left" in str(error) or "quota exceeded" in str(error):
            raise _counted(StorageFull()) from error
        raise _counted(StorageUnavailable(_READ_ONLY if error.errno in _NOT_WRITABLE else None)) from error
    except BaseError as error:
        message = str(error)
        if "No space left" in message or "quota exceeded" in message:
            raise _counted(StorageFull()) from error
        is_denied = isinstance(error, PermissionDeniedError) or "Read-only file system" in message
        raise _counted(StorageUnavailable(_READ_ONLY if is_denied else None)) from error


def _counted(error: LookalikeError) -> LookalikeError:
    STORE_ERRORS.labels("full" if isinstance(error, StorageFull) else "unavailable").inc()
    return error


def _write_files(root: Path, files: Mapping[str, bytes], *, durable: bool) -> None:
    """Write each file to a temporary name and rename it, so that readers never see a partial file."""
    # Strings instead of path objects, which would cost 20 microseconds per file.
    incoming = f"{root}/{_INCOMING}"
    os.makedirs(incoming, exist_ok=True)  # noqa: PTH103
    targets = []
    for key, content in files.items():
        target, temporary = f"{root}/{key}", f"{incoming}/{os.urandom(12).hex()}"
        os.makedirs(target.rpartition("/")[0], exist_ok=True)  # noqa: PTH103
        try:
            with open(temporary, "xb") as file:  # noqa: PTH123
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, target)  # noqa: PTH105
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise
        targets.append(target)
    if durable:
        _sync_folders(targets, str(root))


def sync_files(paths: Iterable[Path], root: Path) -> None:
    """Sync renamed files and their folders to disk, so that they survive a power cut."""
    names = [str(path) for path in paths]
    for name in names:
        _sync(name)
    _sync_folders(names, str(root))


def _sync_folders(paths: Iterable[str], top: str) -> None:
    """Sync all folders above the files: any level may be new, and syncing an old one costs little."""
    folders: dict[str, None] = {}
    for path in paths:
        folder = path.rpartition("/")[0]
        while len(folder) >= len(top) and folder not in folders:
            folders[folder] = None
            folder = folder.rpartition("/")[0]
    for folder in folders:
        _sync(folder)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_unfinished(root: Path) -> int:
    removed = remove_older_than(root / _INCOMING, UNFINISHED_KEPT_S)
    marker = root / _PARTS_REMOVED
    if root.is_dir() and not marker.exists():
        # Once only, because it reads every folder: no version writes such files any more.
        for folder, _, names in os.walk(root):
            for name in filter(_PART.search, names):
                (Path(folder) / name).unlink(missing_ok=True)
                removed += 1
        marker.touch()
    return removed


def _missing_files(root: Path, keys: Sequence[str]) -> list[str]:
    return [key for key in keys if not (root / key).is_file()]
