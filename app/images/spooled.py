"""Files that are read again whenever they are needed, so that they take no memory while they wait."""

import threading
from typing import BinaryIO


class SpooledContent:
    """The bytes of an uploaded file, on disk or in memory, as ``SpooledTemporaryFile`` decides."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Wrap an open file; whoever opened it closes it.

        Args:
            file: The file.
            size: Its size in bytes.
        """
        self._file = file
        self._size = size
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._size

    def read(self) -> bytes:
        """Return all bytes; thread-safe."""
        with self._lock:
            self._file.seek(0)
            return self._file.read()


Content = bytes | SpooledContent
"""A picture's file."""


def bytes_of(content: Content) -> bytes:
    """Return the bytes of a file; this may read from disk."""
    return content.read() if isinstance(content, SpooledContent) else content
