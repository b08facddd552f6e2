"""Any folder or zip of ``…/<kind>/<picture>``."""

import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

from app.learning.datasets.pictures import FolderSource, LabelledPictures, ZipSource

UNLABELLED: Final = "unlabelled"
"""The folder of pictures of unknown kind, where nobody says another."""
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


def load_pictures(
    path: Path, name: str | None = None, *, under: str = "", unlabelled: str | None = None
) -> LabelledPictures:
    """All pictures of a folder or zip, the name of the innermost folder being the kind.

    Args:
        path: The folder or zip.
        name: What protocols call the collection; the path's stem by default.
        under: Only those below this folder inside it.
        unlabelled: Name of a folder inside it of pictures whose kind is not known.

    Raises:
        FileNotFoundError: There is no such folder or zip, or no picture in it.
    """
    if path.is_dir():
        inside = (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        source: FolderSource | ZipSource = FolderSource(path)
    else:
        archive = zipfile.ZipFile(path)
        inside = (entry.filename for entry in archive.infolist() if not entry.is_dir())
        source = ZipSource(archive)
    wanted = [entry for entry in inside if entry.startswith(under) and _is_picture(entry)]
    if not wanted:
        raise FileNotFoundError(f"no pictures in {path}")
    return LabelledPictures.from_paths(name or path.stem, wanted, source, unlabelled=unlabelled)


def _is_picture(entry: str) -> bool:
    path = PurePosixPath(entry)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
