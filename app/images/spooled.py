"""Uploaded files that stay on disk and are read when they are needed."""

import threading
from typing import BinaryIO


class SpooledContent:
    """An uploaded file, in memory or on disk; ``SpooledTemporaryFile`` decides by its size."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Wrap an open file, which the caller closes.

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
        """Return the whole file; thread-safe."""
        with self._lock:
            self._file.seek(0)
            return self._file.read()


Content = bytes | SpooledContent
"""A picture file, in memory or spooled."""


def bytes_of(content: Content) -> bytes:
    """Return the bytes of a file; reads a spooled one from disk."""
    return content.read() if isinstance(content, SpooledContent) else content
