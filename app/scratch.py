"""Scratch folders of processes, and the removal of those that killed processes left."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, get_args

UNLOCKED_KEPT_S: Final = 60.0
"""Seconds for which a folder without a lock file is kept: its process may be about to lock it."""
TEMPORARY: Final = Path(tempfile.gettempdir())
"""The machine's folder for temporary files; a worker gives ``tempfile`` another one."""
Purpose = Literal["kernels", "metrics", "unpacked"]
_LOCK: Final = ".lock"
_UNLOCKED: Final = "new-"
"""Prefix of folders that are not locked yet."""


def older_than(folder: Path, age_s: float) -> list[Path]:
    """Return entries of a folder unchanged for ``age_s`` seconds; tolerates concurrent removal.

    Raises:
        OSError: The folder cannot be read.
    """
    return [path for path in _entries(folder) if _is_older_than(path, age_s)]


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
    for path in _entries(folder):
        if path.name.startswith(prefix) and _is_older_than(path, age_s):
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


@contextmanager
def scratch_folder(parent: Path, *, prefix: str = "") -> Iterator[Path]:
    """Create a folder for temporary files, and remove it at the end.

    The process holds a lock on the folder, which ends with the process, however that ends. ``sweep_scratch``
    removes folders without one.

    Args:
        parent: Where to create it.
        prefix: Start of its name, for a parent that others use too.

    Raises:
        OSError: The folder cannot be created.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix + _UNLOCKED))
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Renamed only now, so that a folder with a final name and without a lock is never in use.
            folder = folder.rename(parent / folder.name.replace(_UNLOCKED, "", 1))
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def temporary_folder(purpose: Purpose) -> AbstractContextManager[Path]:
    """Create a scratch folder among the temporary files of the machine; ``sweep_temporary`` knows it.

    Raises:
        OSError: (on entering) the folder cannot be created.
    """
    return scratch_folder(TEMPORARY, prefix=_temporary_prefix(purpose))


def sweep_temporary() -> int:
    """Remove the temporary folders of killed processes of this user and machine; return how many.

    Raises:
        OSError: The folder of temporary files cannot be read.
    """
    return _sweep(TEMPORARY, tuple(map(_temporary_prefix, get_args(Purpose))))


def _temporary_prefix(purpose: Purpose) -> str:
    return f"lookalike-{purpose}-"


def sweep_scratch(parent: Path, *, prefix: str = "") -> int:
    """Remove this user's scratch folders of killed processes of this machine; return how many.

    Args:
        parent: Where they are.
        prefix: Start of their names; with it, other folders without a lock file are kept, as others use the
            parent.

    Raises:
        OSError: The folder cannot be read.
    """
    return _sweep(parent, (prefix,))


def _sweep(parent: Path, prefixes: Sequence[str]) -> int:
    """Remove the abandoned folders whose names start with one of ``prefixes``; list ``parent`` once.

    A temporary folder of a busy machine holds very many entries of others, so only our own are examined.
    """
    removed = 0
    for folder in _entries(parent):
        prefix = next((one for one in prefixes if folder.name.startswith(one)), None)
        if prefix is None:
            continue
        is_new = folder.name.startswith(prefix + _UNLOCKED)
        is_complete = _has_lock(folder) and not is_new
        is_abandoned = (is_new or not prefix) and _is_older_than(folder, UNLOCKED_KEPT_S)
        if (is_complete or is_abandoned) and _is_own(folder) and _is_unlocked(folder):
            remove(folder)
            removed += not folder.exists()
    return removed


def _entries(folder: Path) -> list[Path]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return list(folder.iterdir())
    return []


def _is_older_than(path: Path, age_s: float) -> bool:
    with suppress(FileNotFoundError):
        return path.lstat().st_mtime < time.time() - age_s
    return False


def _has_lock(folder: Path) -> bool:
    with suppress(PermissionError):  # of another user
        return (folder / _LOCK).exists()
    return False


def _is_own(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        return folder.lstat().st_uid == os.getuid()
    return False


def _is_unlocked(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # in use, or of another user
        return False
    except OSError:
        return True  # without a lock: of a version that had none, or being removed
    return True
