"""Folders of this machine that the service writes to: made, and tried before anything relies on them."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

from app.domain.errors import FolderNotWritable

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def make_writable(folder: Path) -> None:
    """Make a folder where there is none, and write to it once.

    A full disk passes: what is stored can still be searched and deleted.

    Raises:
        FolderNotWritable: It cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno not in _FULL:
            raise FolderNotWritable(_sentence("folder", folder, error.strerror)) from error


def check_writable(file: Path) -> None:
    """Look whether a file, if there is one, can be written to.

    Raises:
        FolderNotWritable: It cannot.
    """
    if file.exists() and not os.access(file, os.W_OK):
        raise FolderNotWritable(_sentence("file", file, None))


def _sentence(what: str, path: Path, reason: str | None) -> str:
    because = "" if reason is None else f" ({reason})"
    return (
        f"the {what} {path} cannot be written to{because}; make it writable for user {os.getuid()}, "
        "as whom this runs, or name another folder by LOOKALIKE_DATA_DIR"
    )
