"""Journals of the picture files that this machine's processes stored, to find files without a row.

A file is stored before its row is committed. If the process is killed or the commit fails, the row never
follows. A file without a row may still be needed: the database may be an older copy, or a new one before a
restore. Therefore each process lists the files that it stores, and only listed files are checked later.

A process locks its journal while it appends to it; an unlocked journal is complete.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from app.images.objects import store_faults

_SUFFIX: Final = ".puts"


class PutJournal:
    """The journals of a machine's processes, in one folder. Methods may block briefly on the disk."""

    def __init__(self, folder: Path, *, rotate_s: float = 3600.0) -> None:
        """Store journals in ``folder``; complete this process's one after ``rotate_s`` seconds."""
        self._folder = folder
        self._rotate_s = rotate_s
        self._own: IO[str] | None = None
        self._created_at = 0.0

    def add(self, sha256s: Sequence[str]) -> None:
        """List files that are about to be stored.

        Raises:
            StorageFull: The disk is full.
            StorageUnavailable: The folder cannot be written to.
        """
        if not sha256s:
            return
        with store_faults():
            self.rotate()
            if self._own is None:
                self._own = self._create()
                self._created_at = time.monotonic()
            self._own.write("".join(f"{sha256}\n" for sha256 in sha256s))
            self._own.flush()

    def rotate(self) -> None:
        """Complete this process's journal if it is old enough."""
        if self._own is not None and time.monotonic() - self._created_at > self._rotate_s:
            self.close()

    def close(self) -> None:
        """Complete this process's journal."""
        if self._own is not None:
            self._own.close()
            self._own = None

    @contextmanager
    def read_complete(self) -> Iterator[list[str] | None]:
        """Yield the SHA-256s of one complete journal, and remove it at the end unless an error is raised.

        Yield None if there is no complete journal, or other processes are reading all of them.

        Raises:
            StorageUnavailable: The folder cannot be read.
        """
        with store_faults():
            paths = sorted(self._folder.glob(f"*{_SUFFIX}")) if self._folder.is_dir() else []
        for path in paths:
            with store_faults():
                journal = _open_locked(path)
            if journal is not None:
                with journal:
                    # A process that was killed while writing may have left an incomplete line.
                    yield [line.strip() for line in journal if line.endswith("\n")]
                    path.unlink(missing_ok=True)
                return
        yield None

    def _create(self) -> IO[str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = self._folder / f"{secrets.token_hex(8)}{_SUFFIX}"
            journal = path.open("x")
            fcntl.flock(journal, fcntl.LOCK_EX)
            if path.exists() and os.fstat(journal.fileno()).st_nlink:
                return journal
            journal.close()  # another process read and removed it before it was locked


def _open_locked(path: Path) -> IO[str] | None:
    """Open and lock a journal; return None if another process holds the lock or has removed the file."""
    with suppress(FileNotFoundError):
        journal = path.open()
        with suppress(BlockingIOError):
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return journal
        journal.close()
    return None
