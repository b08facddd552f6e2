"""Read referenced pictures from allowed places: a folder, object-store prefixes, hosts; none by default."""

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
    """Reads referenced pictures from allowed places only."""

    def __init__(
        self,
        root: Path | None,
        prefixes: Sequence[str],
        fetcher: Fetcher | None,
        *,
        open_store: Callable[[str], ObjectStore] = from_url,
    ) -> None:
        """Set the allowed places.

        Args:
            root: Folder whose files may be read.
            prefixes: URL prefixes such as ``s3://bucket/pictures/`` below which objects may be read.
            fetcher: Fetches HTTP URLs; None disables them.
            open_store: Opens the object store at a URL.
        """
        self._root = None if root is None else root.resolve()
        self._prefixes = tuple(prefix.rstrip("/") + "/" for prefix in prefixes)
        self._fetcher = fetcher
        self._open_store = open_store
        self._stores: dict[str, ObjectStore] = {}

    @property
    def reads_anything(self) -> bool:
        """Whether any place is allowed."""
        return self._root is not None or bool(self._prefixes) or self._fetcher is not None

    def check_folder(self, folder: str) -> Path:
        """Return the path of a folder below the root.

        Raises:
            UrlNotAllowed: The folder is not below the root, or there is no root.
            InvalidRequest: The folder does not exist.
        """
        found = self._inside(folder)
        if not found.is_dir():
            raise InvalidRequest("the folder does not exist")
        return found

    def check_prefix(self, prefix: str) -> str:
        """Return the prefix with a trailing slash.

        Raises:
            UrlNotAllowed: The prefix is not below an allowed one.
        """
        self._store_of(prefix.rstrip("/") + "/")
        return prefix.rstrip("/") + "/"

    def files(self, folder: str) -> Iterator[str]:
        """Yield the paths, relative to the root, of the files at any depth below a folder, in a stable order.

        Skips ignored files (see ``entries.is_ignored``) and does not follow links. The path of a subfolder that
        cannot be listed comes like a file's, so that reading it fails and an import lists it. Blocks.

        Raises:
            UrlNotAllowed: The folder is not below the root.
            InvalidRequest: The folder does not exist or cannot be listed.
        """
        top = self.check_folder(folder)
        if self._root is None:
            return
        unreadable: list[str] = []
        for parent, folders, names in os.walk(top, onerror=lambda error: unreadable.append(error.filename)):
            folders[:] = sorted(name for name in folders if not is_ignored(name))
            for name in sorted(names):
                if not is_ignored(name):
                    yield (Path(parent) / name).relative_to(self._root).as_posix()
        for path in unreadable:
            if Path(path) == top:
                raise InvalidRequest("the folder cannot be listed; make it readable for the service's user")
            yield Path(path).relative_to(self._root).as_posix()

    async def objects(self, prefix: str) -> AsyncIterator[str]:
        """Yield the URLs of the objects below a prefix; skips ignored files, as ``files`` does.

        Raises:
            UrlNotAllowed: The prefix is not allowed.
            StorageUnavailable: The store does not respond.
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
        """Return the bytes of a referenced picture.

        Raises:
            UrlNotAllowed: The picture is not in an allowed place.
            FetchFailed: The picture does not exist, or cannot be fetched.
            ImageTooLarge: The file has more than ``max_bytes`` bytes.
            StorageUnavailable: The store does not respond.
        """
        # "s3: my photo.png" is a file name.
        scheme = uri.partition("://")[0].lower() if "://" in uri else ""
        if scheme in _OBJECT_SCHEMES:
            return await self._read_object(uri, max_bytes)
        if scheme in {"http", "https"}:
            if self._fetcher is None:
                raise UrlNotAllowed("fetching by URL is disabled; LOOKALIKE_FETCH_HOSTS allows hosts")
            return await self._fetcher.fetch(uri, max_bytes)
        path = unquote(_split(uri).path) if scheme == "file" else uri
        return await asyncio.to_thread(self._read_file, path, max_bytes)

    def _inside(self, path: str) -> Path:
        if self._root is None:
            raise UrlNotAllowed("reading the server's files is disabled; LOOKALIKE_IMPORT_ROOT allows a folder")
        try:
            found = (self._root / path).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise UrlNotAllowed("the path leads out of LOOKALIKE_IMPORT_ROOT") from error
        if not found.is_relative_to(self._root):
            raise UrlNotAllowed("the path leads out of LOOKALIKE_IMPORT_ROOT")
        return found

    def _find(self, path: str) -> Path:
        """Find the file of a path, as given or in another common spelling.

        Raises:
            UrlNotAllowed: The path leads out of the root.
        """
        found = self._inside(path)
        if os.path.exists(found):  # noqa: PTH110 - unlike Path.exists, False for a name that is too long
            return found
        # Windows writes backslashes and NFC, macOS NFD; undecodable bytes in names are stored as escapes.
        for spelling in (path.replace("\\", "/"), nfc(path), nfd(path), unescaped(path)):
            if spelling != path and os.path.exists(candidate := self._inside(spelling)):  # noqa: PTH110
                return candidate
        return found

    def _read_file(self, path: str, max_bytes: int) -> bytes:
        found = self._find(path)
        try:
            # Non-blocking, because opening a named pipe would wait for a writer for ever.
            descriptor = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise FetchFailed("the file does not exist or cannot be read") from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise FetchFailed("the path is not a regular file, or a folder that cannot be listed")
        with os.fdopen(descriptor, "rb") as file:
            if status.st_size > max_bytes:
                raise ImageTooLarge(
                    f"the file has {status.st_size:,} bytes; at most {max_bytes:,} are accepted "
                    "(LOOKALIKE_MAX_UPLOAD_BYTES raises the limit)"
                )
            return file.read(max_bytes + 1)

    async def _read_object(self, uri: str, max_bytes: int) -> bytes:
        store, base = self._store_of(uri)
        with store_faults():
            try:
                found = await obstore.get_async(store, uri[len(base) :])
            except FileNotFoundError as error:
                raise FetchFailed("the object does not exist") from error
            if found.meta["size"] > max_bytes:
                raise ImageTooLarge(
                    f"the file has {found.meta['size']:,} bytes; at most {max_bytes:,} are accepted "
                    "(LOOKALIKE_MAX_UPLOAD_BYTES raises the limit)"
                )
            return bytes(await found.bytes_async())

    def _store_of(self, uri: str) -> tuple[ObjectStore, str]:
        """Return the store of an object, and the URL up to the object's key."""
        if not any(uri.startswith(prefix) for prefix in self._prefixes) or "/../" in uri or "/./" in uri:
            raise UrlNotAllowed("the object is not below a prefix that LOOKALIKE_IMPORT_PREFIXES allows")
        parts = _split(uri)
        base = f"{parts.scheme}://{parts.netloc}/"
        if base not in self._stores:
            self._stores[base] = self._open_store(base)
        return self._stores[base], base


def _split(uri: str) -> SplitResult:
    """Split a URI.

    Raises:
        UrlNotAllowed: The URI is invalid.
    """
    try:
        return urlsplit(uri)
    except ValueError as error:
        raise UrlNotAllowed(f"the address is not a valid URI: {error}") from error
