"""Which picture files the processes of this machine have put lately, so that none stays without a row for ever.

A file is put before its row is committed. Where the row never comes, because the process was killed or the
commit failed, nothing in the database tells of the file, and that a file has no row does not prove that nobody
needs it: the database may be an older copy, or a new one before a restore. So each process writes down what it
puts, and only files that were written down here are looked up later.

A process holds a lock on its journal for as long as it appends to it. What nobody holds is complete.
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
    """The journals of one machine's processes, in one folder. Methods may block on the disk for a moment."""

    def __init__(self, folder: Path, *, rotate_s: float = 3600.0) -> None:
        """Keep journals in ``folder``; one is complete after ``rotate_s`` seconds at the latest."""
        self._folder = folder
        self._rotate_s = rotate_s
        self._own: IO[str] | None = None
        self._begun_at = 0.0

    def add(self, sha256s: Sequence[str]) -> None:
        """Write down which files are about to be put.

        Raises:
            StorageFull: There is no space left.
            StorageUnavailable: The folder cannot be written to.
        """
        if not sha256s:
            return
        with store_faults():
            self.rotate()
            if self._own is None:
                self._own = self._begin()
                self._begun_at = time.monotonic()
            self._own.write("".join(f"{sha256}\n" for sha256 in sha256s))
            self._own.flush()

    def rotate(self) -> None:
        """Let the own journal be complete if it is old enough."""
        if self._own is not None and time.monotonic() - self._begun_at > self._rotate_s:
            self.close()

    def close(self) -> None:
        """Let the own journal be complete."""
        if self._own is not None:
            self._own.close()
            self._own = None

    @contextmanager
    def complete(self) -> Iterator[list[str] | None]:
        """The files named by one complete journal, which is removed at the end unless an error is raised.

        None where there is no complete journal that no other process is reading.

        Raises:
            StorageUnavailable: The folder cannot be read.
        """
        with store_faults():
            paths = sorted(self._folder.glob(f"*{_SUFFIX}")) if self._folder.is_dir() else []
        for path in paths:
            with store_faults():
                journal = _open_alone(path)
            if journal is not None:
                with journal:
                    # A process that was killed as it wrote may have left half a line.
                    yield [line.strip() for line in journal if line.endswith("\n")]
                    path.unlink(missing_ok=True)
                return
        yield None

    def _begin(self) -> IO[str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = self._folder / f"{secrets.token_hex(8)}{_SUFFIX}"
            journal = path.open("x")
            fcntl.flock(journal, fcntl.LOCK_EX)
            if path.exists() and os.fstat(journal.fileno()).st_nlink:
                return journal
            journal.close()  # taken for complete, and removed, before it was locked


def _open_alone(path: Path) -> IO[str] | None:
    """A journal to read, unless a process appends to it, or another one reads or has removed it."""
    with suppress(FileNotFoundError):
        journal = path.open()
        with suppress(BlockingIOError):
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return journal
        journal.close()
    return None
