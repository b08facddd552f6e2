"""Files that wait for a job: in the picture store's place, so that a worker on any machine can read them."""

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
from app.images.objects import store_faults, sync_files

_FOLDER: Final = "staging"
_BUFFER: Final = 1_048_576


class Staging:
    """Keeps files in named sets; a set is one job's and goes with it."""

    def __init__(self, url: str) -> None:
        """Keep them in the picture store at ``url``."""
        parts = urlsplit(url)
        self._root: Path | None = None
        self._store: ObjectStore | None = None
        if parts.scheme == "file":
            self._root = Path(url2pathname(parts.path)) / _FOLDER
        else:
            self._store = from_url(url)

    async def put(self, staged: str, name: str, path: Path) -> None:
        """Move the file at ``path`` here, whole and durably.

        Raises:
            StorageFull: There is no space left.
            StorageUnavailable: The store does not answer.
        """
        with store_faults():
            if self._root is not None:
                await asyncio.to_thread(_move, path, self._root / staged / name, self._root.parent)
            else:
                await obstore.put_async(self._remote, _key(staged, name), path)
                await asyncio.to_thread(path.unlink)

    async def put_once(self, staged: str, name: str, path: Path) -> None:
        """Copy the file at ``path`` here unless there is one by that name; then that one stays.

        Raises:
            StorageFull: There is no space left.
            StorageUnavailable: The store does not answer.
        """
        with store_faults():
            if self._root is not None:
                await asyncio.to_thread(_copy_once, path, self._root / staged / name, self._root.parent)
                return
            with suppress(AlreadyExistsError):
                await obstore.put_async(self._remote, _key(staged, name), path, mode="create")

    def open(self, staged: str, name: str) -> IO[bytes]:
        """Open a file for reading at any place. Blocks, and so does reading: call it in a thread.

        Raises:
            PictureGone: It is not kept any more.
            StorageUnavailable: The store does not answer.
        """
        with store_faults():
            try:
                if self._root is not None:
                    return (self._root / staged / name).open("rb", buffering=_BUFFER)
                remote = obstore.open_reader(self._remote, _key(staged, name), buffer_size=_BUFFER)
            except FileNotFoundError as error:
                raise PictureGone("what was uploaded for the job is no longer kept") from error
        return io.BufferedReader(_RemoteFile(remote), _BUFFER)

    async def delete(self, staged: str) -> None:
        """Forget a set; no error where there is none."""
        with store_faults():
            if self._root is not None:
                await asyncio.to_thread(shutil.rmtree, self._root / staged, ignore_errors=True)
                return
            listed = await obstore.list_with_delimiter_async(self._remote, f"{_FOLDER}/{staged}")
            for meta in listed["objects"]:
                with suppress(FileNotFoundError):
                    await obstore.delete_async(self._remote, meta["path"])

    async def list(self) -> list[str]:
        """The names of the sets."""
        with store_faults():
            if self._root is not None:
                return await asyncio.to_thread(_folders, self._root)
            listed = await obstore.list_with_delimiter_async(self._remote, _FOLDER)
            return [str(prefix).rsplit("/", 1)[-1] for prefix in listed["common_prefixes"]]

    @property
    def _remote(self) -> ObjectStore:
        if self._store is None:
            raise RuntimeError("a local folder is no object store")
        return self._store


class _RemoteFile(io.RawIOBase):
    """An object as a file that can be read at any place; the store is asked for a range at a time."""

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
    except OSError:  # another file system: copied aside, then renamed, so that nobody finds half a file
        aside = target.with_name(f"{target.name}.part")
        shutil.copyfile(path, aside)
        aside.replace(target)
        path.unlink()
    sync_files([target], root)


def _copy_once(path: Path, target: Path, root: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.{os.urandom(6).hex()}")
    shutil.copyfile(path, aside)
    with suppress(FileExistsError):
        os.link(aside, target)  # unlike a rename, it takes no other's place
    aside.unlink()
    sync_files([target], root)


def _folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir()) if root.is_dir() else []
