"""Remove files that killed processes left in scratch folders, once they are too old to be in use."""

import shutil
import time
from contextlib import suppress
from pathlib import Path


def older_than(folder: Path, age_s: float) -> list[Path]:
    """Return entries of a folder unchanged for ``age_s`` seconds; tolerates concurrent removal.

    Raises:
        OSError: The folder cannot be read.
    """
    cutoff = time.time() - age_s
    found = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                if path.lstat().st_mtime < cutoff:
                    found.append(path)
    return found


def remove_older_than(folder: Path, age_s: float, *, prefix: str = "") -> int:
    """Remove files and folders unchanged for ``age_s`` seconds; return how many.

    Args:
        folder: The scratch folder.
        age_s: Seconds without a change.
        prefix: Remove only entries whose names start with it.

    Raises:
        OSError: The folder cannot be read, or a file in it cannot be removed.
    """
    removed = 0
    for path in older_than(folder, age_s):
        if not path.name.startswith(prefix):
            continue
        remove(path)
        removed += 1
    return removed


def remove(path: Path) -> None:
    """Remove a file, or a folder with its contents; tolerates concurrent removal.

    Raises:
        OSError: A file cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
