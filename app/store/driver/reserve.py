"""Disk space reserved beside a SQLite database for deletions, so that pictures can be deleted on a full disk.

A deletion needs space before it frees any: SQLite's write-ahead log grows by each changed page.
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
"""Free disk space below which a deletion releases the reserve."""
_MIN_DISK_PART: Final = 16
"""On small disks, neither size is more than this part of the disk: one sixteenth."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Reserve:
    """A file whose only purpose is to be deleted when space is needed. Processes may share it."""

    def __init__(self, file: Path | None) -> None:
        """Reserve space with a file of this name; reserve none if it is None, as for Postgres."""
        self._file = file

    def is_disk_low(self) -> bool:
        """Return whether the disk is nearly full."""
        if self._file is None:
            return False
        usage = shutil.disk_usage(self._file.parent)
        return usage.free < min(LOW_BYTES, usage.total // _MIN_DISK_PART)

    def ensure(self) -> bool:
        """Reserve the space unless it is reserved; return False if the disk is full."""
        if self._file is None:
            return True
        size = min(RESERVE_BYTES, shutil.disk_usage(self._file.parent).total // _MIN_DISK_PART)
        with contextlib.suppress(FileNotFoundError):
            if self._file.stat().st_size >= size:
                return True
        # Threads and processes may do this concurrently; the last one to rename wins.
        temporary = self._file.with_name(f"{self._file.name}.{uuid.uuid4().hex}")
        try:
            # Random bytes use their full size even on a file system that compresses.
            temporary.write_bytes(os.urandom(size))
            temporary.replace(self._file)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno in _FULL:
                return False
            raise
        return True

    def release(self) -> None:
        """Free the space."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
