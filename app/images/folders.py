"""Create local folders and check that the service can write to them."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

from app.domain.errors import FolderNotWritable, StorageUnavailable

RETRY_AFTER_S: Final = 10

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def make_writable(folder: Path) -> None:
    """Create a folder if necessary, and test whether it is writable.

    A full disk is accepted, because stored pictures can still be searched and deleted.

    Raises:
        FolderNotWritable: The folder cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno not in _FULL:
            raise FolderNotWritable(_sentence("folder", folder, error.strerror)) from error


def check_writable(file: Path) -> None:
    """Check that a file is writable if it exists.

    Raises:
        FolderNotWritable: The file is not writable.
    """
    if file.exists() and not os.access(file, os.W_OK):
        raise FolderNotWritable(_sentence("file", file, None))


class SameFolder:
    """Tells whether a path still names the folder that it named at first, and not an empty mount point."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder if it exists, otherwise at the first ``check`` that finds it."""
        self._folder = folder
        self._known = _identity(folder)

    def check(self) -> None:
        """Pass if the path names the same folder.

        Raises:
            StorageUnavailable: The folder is missing, or is another one.
        """
        found = _identity(self._folder)
        if found is None:
            raise StorageUnavailable(
                f"the folder {self._folder.name} of the pictures is gone: it was deleted, moved or unmounted; "
                "bring it back",
                retry_after_s=RETRY_AFTER_S,
            )
        if self._known is None:
            self._known = found
        if found != self._known:
            raise StorageUnavailable(
                f"the folder {self._folder.name} of the pictures is not the one that this process opened; "
                "restart the service",
                retry_after_s=RETRY_AFTER_S,
            )


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return device and inode of a folder, or None if it cannot be reached."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _sentence(what: str, path: Path, reason: str | None) -> str:
    because = "" if reason is None else f" ({reason})"
    return f"the {what} {path} cannot be written to{because}; make it writable for user {os.getuid()}"
