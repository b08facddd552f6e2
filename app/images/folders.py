"""Create local folders and check that the service can write to them."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

from app.domain.errors import FolderNotWritable

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


def _sentence(what: str, path: Path, reason: str | None) -> str:
    because = "" if reason is None else f" ({reason})"
    return f"the {what} {path} cannot be written to{because}; make it writable for user {os.getuid()}"
