"""Disk space beside a SQLite database that only deletions may use, so that a full disk can be emptied.

A deletion writes before it frees anything: SQLite's log grows by every page that it changes.
"""

import contextlib
import errno
import os
import shutil
import uuid
from pathlib import Path
from typing import Final

RESERVE_BYTES: Final = 2 * 1_048_576
LOW_BYTES: Final = 16 * 1_048_576
"""With less left on the disk than this, a deletion takes no chances."""
_LARGEST_SHARE: Final = 16
"""At most one such part of the disk is reserved, and called little."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Reserve:
    """A file that is there to be given up. Several processes may share it."""

    def __init__(self, file: Path | None) -> None:
        """Reserve space by the file of that name; none where the file is None, as for Postgres."""
        self._file = file

    def is_disk_low(self) -> bool:
        """Whether next to nothing is left on the disk."""
        if self._file is None:
            return False
        usage = shutil.disk_usage(self._file.parent)
        return usage.free < min(LOW_BYTES, usage.total // _LARGEST_SHARE)

    def take(self) -> bool:
        """Take the space unless it is taken; returns whether it is, or need not be."""
        if self._file is None:
            return True
        size = min(RESERVE_BYTES, shutil.disk_usage(self._file.parent).total // _LARGEST_SHARE)
        with contextlib.suppress(FileNotFoundError):
            if self._file.stat().st_size >= size:
                return True
        # Threads and processes may take it at the same time; the last one to rename wins.
        aside = self._file.with_name(f"{self._file.name}.{uuid.uuid4().hex}")
        try:
            # What is random takes its full space even where the file system compresses.
            aside.write_bytes(os.urandom(size))
            aside.replace(self._file)
        except OSError as error:
            aside.unlink(missing_ok=True)
            if error.errno in _FULL:
                return False
            raise
        return True

    def give_up(self) -> None:
        """Free the space."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
