"""Pictures on this machine as the commands find them: files, folders and zips."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.client import FileToAdd


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A file that may be a picture."""

    path: Path
    uri: str
    label: str | None

    def read(self) -> FileToAdd:
        """Its bytes, with its uri and its folder's name as the label."""
        metadata = None if self.label is None else {"label": self.label}
        return FileToAdd(self.path.name, self.path.read_bytes(), uri=self.uri, metadata=metadata)


def find_pictures(paths: Sequence[Path], *, label: bool = True) -> list[FoundPicture]:
    """Every file under ``paths`` but hidden ones, in a stable order.

    Args:
        paths: Files and folders.
        label: Whether the name of a file's folder, below the one given, becomes its label.
    """
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(FoundPicture(path, path.name, None))
            continue
        for file in sorted(path.rglob("*")):
            relative = file.relative_to(path)
            if file.is_file() and not any(part.startswith(".") for part in relative.parts):
                folder = relative.parent.name or None
                found.append(FoundPicture(file, relative.as_posix(), folder if label else None))
    return found


def pictures_in_zip(path: Path) -> Iterator[FileToAdd]:
    """Every picture of a zip of ``<class>/<picture>``, its folder's name as the label."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            inside = PurePosixPath(entry.filename)
            if entry.is_dir() or inside.suffix.lower() not in {".jpg", ".jpeg", ".png", ".webp"}:
                continue
            yield FileToAdd(
                inside.name,
                archive.read(entry),
                uri=inside.as_posix(),
                metadata={"label": inside.parent.name, "split": inside.parts[0]},
            )
