"""What killed processes leave in scratch folders, removed once nobody can be using it any more."""

import shutil
import time
from contextlib import suppress
from pathlib import Path


def older_than(folder: Path, age_s: float) -> list[Path]:
    """Entries of a folder that have not changed for ``age_s`` seconds; others may be removing some meanwhile.

    Raises:
        OSError: The folder cannot be read.
    """
    due = time.time() - age_s
    found = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                if path.lstat().st_mtime < due:
                    found.append(path)
    return found


def remove_older_than(folder: Path, age_s: float, *, prefix: str = "") -> int:
    """Remove entries that have not changed for ``age_s`` seconds, files and folders; returns how many.

    Args:
        folder: The scratch folder.
        age_s: Seconds without a change.
        prefix: How the names of entries begin that may go; those of others stay.

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
    """Remove a file, or a folder with all that is in it; others may be doing so too.

    Raises:
        OSError: A file cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
