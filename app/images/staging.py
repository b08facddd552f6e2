"""Staged files of jobs, stored next to the pictures so that workers on any machine can read them."""

import asyncio
import io
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore, from_url

from app.domain.errors import PictureGone
from app.images.folders import SameFolder
from app.images.objects import store_faults, sync_files

_FOLDER: Final = "staging"
_BUFFER: Final = 1_048_576


class Staging:
    """Stores files in named sets, one set per job."""

    def __init__(self, url: str) -> None:
        """Use the picture store at ``url``."""
        parts = urlsplit(url)
        self._root: Path | None = None
        self._store: ObjectStore | None = None
        if parts.scheme == "file":
            self._root = Path(url2pathname(parts.path)) / _FOLDER
            self._store_folder = SameFolder(self._root.parent)
        else:
            self._store = from_url(url)

    async def put(self, staged: str, name: str, path: Path) -> None:
        """Move the file at ``path`` into a set, atomically and durably.

        Raises:
            StorageFull: There is no space left.
            StorageUnavailable: The store does not respond.
        """
        with store_faults():
            if self._root is not None:
                self._store_folder.check()
                await asyncio.to_thread(_move, path, self._root / staged / name, self._root.parent)
            else:
                await obstore.put_async(self._remote, _key(staged, name), path)
                await asyncio.to_thread(path.unlink)

    async def put_once(self, staged: str, name: str, path: Path) -> None:
        """Copy the file at ``path`` into a set; keep an existing file with this name.

        Raises:
            StorageFull: There is no space left.
            StorageUnavailable: The store does not respond.
        """
        with store_faults():
            if self._root is not None:
                self._store_folder.check()
                await asyncio.to_thread(_copy_once, path, self._root / staged / name, self._root.parent)
                return
            with suppress(AlreadyExistsError):
                await obstore.put_async(self._remote, _key(staged, name), path, mode="create")

    def open(self, staged: str, name: str) -> IO[bytes]:
        """Open a seekable file for reading. Opening and reading block, so call this in a thread.

        Raises:
            PictureGone: The file no longer exists.
            StorageUnavailable: The store does not respond.
        """
        with store_faults():
            try:
                if self._root is not None:
                    return (self._root / staged / name).open("rb", buffering=_BUFFER)
                remote = obstore.open_reader(self._remote, _key(staged, name), buffer_size=_BUFFER)
            except FileNotFoundError as error:
                if self._root is not None:
                    self._store_folder.check()
                raise PictureGone("the files uploaded for the job no longer exist") from error
        return io.BufferedReader(_RemoteFile(remote), _BUFFER)

    async def delete(self, staged: str) -> None:
        """Delete a set if it exists."""
        with store_faults():
            if self._root is not None:
                await asyncio.to_thread(shutil.rmtree, self._root / staged, ignore_errors=True)
                return
            listed = await obstore.list_with_delimiter_async(self._remote, f"{_FOLDER}/{staged}")
            for meta in listed["objects"]:
                with suppress(FileNotFoundError):
                    await obstore.delete_async(self._remote, meta["path"])

    async def list(self) -> list[str]:
        """Return the names of all sets."""
        with store_faults():
            if self._root is not None:
                return await asyncio.to_thread(_folders, self._root)
            listed = await obstore.list_with_delimiter_async(self._remote, _FOLDER)
            return [str(prefix).rsplit("/", 1)[-1] for prefix in listed["common_prefixes"]]

    @property
    def _remote(self) -> ObjectStore:
        if self._store is None:
            raise RuntimeError("a local folder is not an object store")
        return self._store


class _RemoteFile(io.RawIOBase):
    """A seekable file on an object; reads request one range at a time."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def readinto(self, buffer: Any) -> int:
        with store_faults():
            content = bytes(self._reader.read(len(buffer)))
        buffer[: len(content)] = content
        return len(content)


def _key(staged: str, name: str) -> str:
    return f"{_FOLDER}/{staged}/{name}"


def _move(path: Path, target: Path, root: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.replace(target)
    except OSError:  # another file system: copy, then rename, so that readers never see a partial file
        temporary = target.with_name(f"{target.name}.part")
        shutil.copyfile(path, temporary)
        temporary.replace(target)
        path.unlink()
    sync_files([target], root)


def _copy_once(path: Path, target: Path, root: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.urandom(6).hex()}")
    shutil.copyfile(path, temporary)
    with suppress(FileExistsError):
        os.link(temporary, target)  # unlike a rename, this never replaces a file
    temporary.unlink()
    sync_files([target], root)


def _folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir()) if root.is_dir() else []
