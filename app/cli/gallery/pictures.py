"""Find pictures in files, folders and archives on this machine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final, Self

from app.cli.terminal.queries import PICTURE_SUFFIXES
from app.domain.errors import ArchiveRefused, EntryRefused, ImageTooLarge, NotAnImage, UnsupportedFormat
from app.domain.texts import escaped
from app.images.archives import kind_of, list_archive, unpack_gzip
from app.images.entries import ArchiveLimits, Entry, ListedEntry, RefusedEntry, is_ignored, read_entry
from app.images.formats import identify
from app.scratch import temporary_folder
from lookalike_client import NewPicture

_HEAD_BYTES: Final = 65_536
"""How much of a file tells its format."""
_LIMITS: Final = ArchiveLimits(max_entries=10_000_000, max_unpacked_bytes=1_000_000_000_000)
"""Limits of archives of the user's own."""

ReadFile = Callable[[], NewPicture]


class FileRefused(Exception):
    """A file that is not sent, because it cannot be read or is too large."""

    def __init__(self, name: str, code: str, detail: str) -> None:
        """Remember the name of the file, the stable code and the reason."""
        self.name = name
        self.code = code
        self.detail = detail
        super().__init__(f"{name}: {detail}")


class FileSkipped(FileRefused):
    """A file in a folder or archive that is not a picture, by its name and its content."""


@dataclass(frozen=True, slots=True)
class _LocalFile:
    path: Path
    uri: str
    label: str | None
    is_named: bool
    """Whether the user named the file itself; it is then sent whatever its content."""
    max_bytes: int

    def read(self) -> NewPicture:
        """Read it, with its path as the uri and its folder's name as the label.

        Raises:
            FileRefused: It cannot be read, or it is too large.
            FileSkipped: It is not a picture.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(_HEAD_BYTES)
                if not self.is_named:
                    _skip_other_files(self.uri, content)
                content += file.read(max(0, self.max_bytes + 1 - len(content)))
        except OSError as error:
            raise FileRefused(self.uri, "unreadable", error.strerror or "cannot be read") from error
        if len(content) > self.max_bytes:
            raise _too_large(self.uri, self.max_bytes)
        metadata = None if self.label is None else {"label": self.label}
        return NewPicture(content, uri=self.uri, metadata=metadata, name=escaped(self.path.name))


class PictureFinder:
    """Finds files that may be pictures; unpacks tar.gz archives into temporary files until it is closed."""

    def __init__(self, *, max_bytes: int, label: bool = True, split: bool = False) -> None:
        """Set how pictures are read.

        Args:
            max_bytes: Largest file that is sent, in bytes.
            label: Whether the name of a picture's folder becomes its label.
            split: Whether the first folder in an archive becomes the value under ``split``.
        """
        self._max_bytes = max_bytes
        self._label = label
        self._split = split
        self._unpacked = ExitStack()

    def __enter__(self) -> Self:
        """Return the finder."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the temporary files."""
        self._unpacked.close()

    def find(self, paths: Sequence[Path]) -> list[ReadFile]:
        """Return a reader for each file, in a stable order; hidden files and files of systems are left out.

        Args:
            paths: Files, folders, and zip, tar and tar.gz archives. Archives in folders are not opened.

        Raises:
            FileRefused: An archive is damaged, or a path cannot be read.
        """
        found: list[ReadFile] = []
        for path in paths:
            try:
                if path.is_dir():
                    found += self._in_folder(path)
                elif _is_archive(path):
                    found += self._in_archive(path)
                else:
                    found.append(self._file(path, path.name, None, is_named=True).read)
            except OSError as error:
                raise FileRefused(str(path), "unreadable", error.strerror or "cannot be read") from error
            except ArchiveRefused as error:
                raise FileRefused(str(path), error.code, error.detail) from error
        return found

    def _in_folder(self, folder: Path) -> Iterator[ReadFile]:
        for file in sorted(folder.rglob("*")):
            relative = file.relative_to(folder)
            if not is_ignored(relative.as_posix()) and file.is_file():
                label = escaped(relative.parent.name) or None
                yield self._file(file, relative.as_posix(), label, is_named=False).read

    def _file(self, path: Path, uri: str, label: str | None, *, is_named: bool) -> _LocalFile:
        return _LocalFile(path, escaped(uri), label if self._label else None, is_named, self._max_bytes)

    def _in_archive(self, path: Path) -> Iterator[ReadFile]:
        seekable = self._seekable(path)
        with seekable.open("rb") as archive:
            for entry in list_archive(archive, _LIMITS):
                if isinstance(entry, Entry | RefusedEntry):
                    yield partial(self._read_entry, seekable, entry)

    def _seekable(self, path: Path) -> Path:
        """Return the archive itself, or a temporary copy of what a gzip file contains."""
        with path.open("rb") as packed:
            if kind_of(packed) != "gzip":
                return path
            copy = self._unpacked.enter_context(temporary_folder("unpacked")) / "archive.tar"
            with copy.open("wb") as unpacked:
                unpack_gzip(packed, unpacked, _LIMITS)
            return copy

    def _read_entry(self, path: Path, entry: ListedEntry) -> NewPicture:
        if isinstance(entry, RefusedEntry):
            raise FileRefused(entry.name, entry.error.code, entry.error.detail) from entry.error
        assert isinstance(entry, Entry)  # noqa: S101 - no other kind is listed
        try:
            with path.open("rb") as archive:
                content = read_entry(archive, entry, self._max_bytes)
        except ImageTooLarge as error:
            raise _too_large(entry.name, self._max_bytes) from error
        except EntryRefused as error:
            raise FileRefused(entry.name, error.code, error.detail) from error
        _skip_other_files(entry.name, content[:_HEAD_BYTES])
        inside = PurePosixPath(entry.name)
        metadata = {"label": inside.parent.name} if self._label and inside.parent.name else {}
        if self._split and inside.parent.name:
            metadata["split"] = inside.parts[0]
        return NewPicture(content, uri=entry.name, metadata=metadata or None, name=inside.name)


def _is_archive(path: Path) -> bool:
    """Return whether a file that the user named is an archive, by its first bytes or its name."""
    if path.name.lower().endswith((".zip", ".tar", ".tgz", ".tar.gz")):
        return True
    with path.open("rb") as file:
        try:
            identify(file.read(_HEAD_BYTES))
        except (NotAnImage, UnsupportedFormat):
            pass
        else:
            return False
        try:
            kind_of(file)
        except ArchiveRefused:
            return False
    return True


def _skip_other_files(name: str, head: bytes) -> None:
    """Accept a picture, and a file named like one: the service says what is wrong with it.

    Raises:
        FileSkipped: The file is something else.
    """
    # A file with such a name that is no picture is a failure, and not just another file.
    if PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES:
        return
    try:
        identify(head)
    except (NotAnImage, UnsupportedFormat) as error:
        raise FileSkipped(name, error.code, error.detail) from error


def _too_large(name: str, max_bytes: int) -> FileRefused:
    detail = f"the file has more than {max_bytes:,} bytes, the service's LOOKALIKE_MAX_UPLOAD_BYTES"
    return FileRefused(name, ImageTooLarge.code, detail)
