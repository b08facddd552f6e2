"""Where referenced pictures may be read from: a folder, object-store prefixes, hosts; none by default."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import obstore
from obstore.store import ObjectStore, from_url

from app.domain.errors import FetchFailed, ImageTooLarge, InvalidRequest, UrlNotAllowed
from app.domain.texts import nfc, nfd, unescaped
from app.images.entries import is_ignored
from app.images.fetch import Fetcher
from app.images.objects import store_faults

_OBJECT_SCHEMES: Final = frozenset({"s3", "gs", "az", "memory"})


class PictureSources:
    """Reads referenced pictures; what it was not told of it does not read."""

    def __init__(
        self,
        root: Path | None,
        prefixes: Sequence[str],
        fetcher: Fetcher | None,
        *,
        open_store: Callable[[str], ObjectStore] = from_url,
    ) -> None:
        """Allow some places.

        Args:
            root: The folder whose files may be read.
            prefixes: Addresses such as ``s3://bucket/pictures/``; what begins with one may be read.
            fetcher: Fetches URLs; None where they are off.
            open_store: Opens the object store at an address.
        """
        self._root = None if root is None else root.resolve()
        self._prefixes = tuple(prefix.rstrip("/") + "/" for prefix in prefixes)
        self._fetcher = fetcher
        self._open_store = open_store
        self._stores: dict[str, ObjectStore] = {}

    @property
    def reads_anything(self) -> bool:
        """Whether there is any place to read from."""
        return self._root is not None or bool(self._prefixes) or self._fetcher is not None

    def check_folder(self, folder: str) -> Path:
        """The folder by that name below the root.

        Raises:
            UrlNotAllowed: It is not below the root, or there is no root.
            InvalidRequest: There is no such folder.
        """
        found = self._inside(folder)
        if not found.is_dir():
            raise InvalidRequest("there is no such folder")
        return found

    def check_prefix(self, prefix: str) -> str:
        """The prefix, with a slash at its end.

        Raises:
            UrlNotAllowed: It is not below a prefix that may be read.
        """
        self._store_of(prefix.rstrip("/") + "/")
        return prefix.rstrip("/") + "/"

    def files(self, folder: str) -> Iterator[str]:
        """Paths below the root of the files in a folder, at any depth, in a stable order.

        Hidden files, and what operating systems leave in folders, are ignored.

        Links are not followed. Blocks.

        Raises:
            UrlNotAllowed: The folder is not below the root.
            InvalidRequest: There is no such folder.
        """
        top = self.check_folder(folder)
        if self._root is None:
            return
        for place, folders, names in os.walk(top, followlinks=False):
            folders[:] = sorted(name for name in folders if not is_ignored(name))
            for name in sorted(names):
                if not is_ignored(name):
                    yield (Path(place) / name).relative_to(self._root).as_posix()

    async def objects(self, prefix: str) -> AsyncIterator[str]:
        """Addresses of the objects below a prefix, but those that are ignored as files are.

        Raises:
            UrlNotAllowed: The prefix may not be read.
            StorageUnavailable: The store does not answer.
        """
        prefix = self.check_prefix(prefix)
        store, base = self._store_of(prefix)
        with store_faults():
            async for listed in obstore.list(store, prefix[len(base) :] or None):
                for meta in listed:
                    address = f"{base}{meta['path']}"
                    if not is_ignored(address.removeprefix(prefix)):
                        yield address

    async def read(self, uri: str, max_bytes: int) -> bytes:
        """The bytes of a referenced picture.

        Raises:
            UrlNotAllowed: It lies where nothing may be read.
            FetchFailed: There is none, or it does not come.
            ImageTooLarge: It has more than ``max_bytes`` bytes.
            StorageUnavailable: The store does not answer.
        """
        # "s3: my photo.png" is the name of a file.
        scheme = uri.partition("://")[0].lower() if "://" in uri else ""
        if scheme in _OBJECT_SCHEMES:
            return await self._read_object(uri, max_bytes)
        if scheme in {"http", "https"}:
            if self._fetcher is None:
                raise UrlNotAllowed("fetching by URL is switched off")
            return await self._fetcher.fetch(uri, max_bytes)
        path = unquote(_split(uri).path) if scheme == "file" else uri
        return await asyncio.to_thread(self._read_file, path, max_bytes)

    def _inside(self, path: str) -> Path:
        if self._root is None:
            raise UrlNotAllowed("reading the server's files is switched off")
        try:
            found = (self._root / path).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise UrlNotAllowed("the path leads out of the folder that may be read") from error
        if not found.is_relative_to(self._root):
            raise UrlNotAllowed("the path leads out of the folder that may be read")
        return found

    def _find(self, path: str) -> Path:
        """The file that a path names, as it stands or in another common form of it.

        Raises:
            UrlNotAllowed: It leads out of the root.
        """
        found = self._inside(path)
        if os.path.exists(found):  # noqa: PTH110 - unlike Path.exists, False for a name that is too long
            return found
        # Windows writes backslashes and NFC, a Mac NFD, and what was no text in a name is kept as an escape.
        for other in (path.replace("\\", "/"), nfc(path), nfd(path), unescaped(path)):
            if other != path and os.path.exists(candidate := self._inside(other)):  # noqa: PTH110
                return candidate
        return found

    def _read_file(self, path: str, max_bytes: int) -> bytes:
        found = self._find(path)
        try:
            # Not blocking: a named pipe would wait for a writer for ever.
            descriptor = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise FetchFailed("there is no such file") from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise FetchFailed("it is no file")
        with os.fdopen(descriptor, "rb") as file:
            if status.st_size > max_bytes:
                raise ImageTooLarge(
                    f"the file has {status.st_size:,} bytes; at most {max_bytes:,} are accepted"
                )
            return file.read(max_bytes + 1)

    async def _read_object(self, uri: str, max_bytes: int) -> bytes:
        store, base = self._store_of(uri)
        with store_faults():
            try:
                found = await obstore.get_async(store, uri[len(base) :])
            except FileNotFoundError as error:
                raise FetchFailed("there is no such object") from error
            if found.meta["size"] > max_bytes:
                raise ImageTooLarge(
                    f"the file has {found.meta['size']:,} bytes; at most {max_bytes:,} are accepted"
                )
            return bytes(await found.bytes_async())

    def _store_of(self, uri: str) -> tuple[ObjectStore, str]:
        """The store that holds an object, and its address up to the object's key."""
        if not any(uri.startswith(prefix) for prefix in self._prefixes) or "/../" in uri or "/./" in uri:
            raise UrlNotAllowed("no object may be read from there")
        parts = _split(uri)
        base = f"{parts.scheme}://{parts.netloc}/"
        if base not in self._stores:
            self._stores[base] = self._open_store(base)
        return self._stores[base], base


def _split(uri: str) -> SplitResult:
    """The parts of an address.

    Raises:
        UrlNotAllowed: It is none.
    """
    try:
        return urlsplit(uri)
    except ValueError as error:
        raise UrlNotAllowed(f"the address cannot be read: {error}") from error
