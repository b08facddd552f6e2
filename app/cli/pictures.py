"""Find pictures in files, folders and zips on this machine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from app.client import FileToAdd
from app.domain.errors import EntryRefused
from app.domain.texts import escaped
from app.images.archives import list_archive
from app.images.entries import ArchiveLimits, Entry, RefusedEntry, is_ignored, read_entry

_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class UnreadableEntry(Exception):
    """A file in a zip that cannot be read."""

    def __init__(self, name: str, cause: EntryRefused) -> None:
        self.name = name
        self.cause = cause
        super().__init__(f"{name}: {cause.detail}")


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A file that may be a picture."""

    path: Path
    uri: str
    label: str | None

    def read(self) -> FileToAdd:
        """Read its bytes, with its uri and its folder's name as the label.

        Bytes of a name that are not valid text are escaped.

        Raises:
            OSError: It cannot be read.
        """
        metadata = None if self.label is None else {"label": self.label}
        return FileToAdd(escaped(self.path.name), self.path.read_bytes(), uri=self.uri, metadata=metadata)


def find_pictures(paths: Sequence[Path], *, label: bool = True) -> list[FoundPicture]:
    """Return files under ``paths`` in a stable order, except those that imports ignore, such as hidden ones.

    Args:
        paths: Files and folders.
        label: Whether the name of a file's folder, below the given path, becomes its label.
    """
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(FoundPicture(path, escaped(path.name), None))
            continue
        for file in sorted(path.rglob("*")):
            relative = file.relative_to(path)
            if not is_ignored(relative.as_posix()) and file.is_file():
                folder = escaped(relative.parent.name) or None
                found.append(FoundPicture(file, escaped(relative.as_posix()), folder if label else None))
    return found


def pictures_in_zip(path: Path) -> Iterator[Callable[[], FileToAdd]]:
    """Yield a reader for each picture of a zip of ``<class>/<picture>``; the folder's name is the label.

    Raises:
        ArchiveRefused: It is not a zip, or it is damaged.
    """
    with path.open("rb") as archive:
        for entry in list_archive(archive, ArchiveLimits(max_entries=10_000_000)):
            if (
                isinstance(entry, Entry | RefusedEntry)
                and PurePosixPath(entry.name).suffix.lower() in _SUFFIXES
            ):
                yield partial(_read_from_zip, path, entry)


def _read_from_zip(path: Path, entry: Entry | RefusedEntry) -> FileToAdd:
    if isinstance(entry, RefusedEntry):
        raise UnreadableEntry(entry.name, entry.error)
    inside = PurePosixPath(entry.name)
    try:
        with path.open("rb") as archive:
            content = read_entry(archive, entry, entry.size)
    except EntryRefused as error:
        raise UnreadableEntry(entry.name, error) from error
    metadata = {"label": inside.parent.name, "split": inside.parts[0]}
    return FileToAdd(inside.name, content, uri=entry.name, metadata=metadata)
