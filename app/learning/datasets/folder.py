"""Load pictures from any folder or zip of ``…/<kind>/<picture>``."""

import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

from app.learning.datasets.pictures import FolderSource, LabelledPictures, ZipSource

UNLABELLED: Final = "unlabelled"
"""Default name of the folder that holds pictures of unknown kind."""
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


def load_pictures(
    path: Path, name: str | None = None, *, under: str = "", unlabelled: str | None = None
) -> LabelledPictures:
    """Load all pictures of a folder or zip; the name of the innermost folder is the kind.

    Args:
        path: The folder or zip.
        name: Name of the collection in protocols; by default the stem of the path.
        under: Load only pictures whose name starts with this prefix.
        unlabelled: Name of a folder inside it that holds pictures of unknown kind.

    Raises:
        FileNotFoundError: There is no such folder or zip, or it contains no picture.
        ValueError: The path is neither a folder nor a zip.
    """
    if path.is_dir():
        inside = (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        source: FolderSource | ZipSource = FolderSource(path)
    else:
        try:
            archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path} is neither a folder nor a zip") from error
        inside = (entry.filename for entry in archive.infolist() if not entry.is_dir())
        source = ZipSource(archive)
    wanted = [entry for entry in inside if entry.startswith(under) and _is_picture(entry)]
    if not wanted:
        raise FileNotFoundError(f"no pictures in {path}")
    return LabelledPictures.from_paths(name or path.stem, wanted, source, unlabelled=unlabelled)


def _is_picture(entry: str) -> bool:
    path = PurePosixPath(entry)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
