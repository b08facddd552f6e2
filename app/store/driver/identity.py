"""Notice when the file of a SQLite database is removed, replaced or no longer mounted.

Open connections keep writing to a file that was removed, so a write would succeed and be nowhere.
"""

from pathlib import Path
from typing import Final

from app.domain.errors import DatabaseUnavailable

RETRY_AFTER_S: Final = 10


class FileIdentity:
    """Tells whether a path still names the file that it named at first."""

    def __init__(self, file: Path | None) -> None:
        """Remember the file; None for a database without a file, which always passes."""
        self._file = file
        self._known = None if file is None else _identity(file)

    def check(self) -> None:
        """Pass if the path names the same file.

        Raises:
            DatabaseUnavailable: The file is missing, or is another one.
        """
        if self._file is None:
            return
        found = _identity(self._file)
        if self._known is None:
            self._known = found  # it did not exist when the database was opened
        if found is None:
            raise DatabaseUnavailable(
                f"the database file {self._file.name} is gone: it was deleted, moved or unmounted; "
                "bring it back",
                retry_after_s=RETRY_AFTER_S,
            )
        if found != self._known:
            raise DatabaseUnavailable(
                f"the database file {self._file.name} is not the one that this process opened; "
                "restart the service",
                retry_after_s=RETRY_AFTER_S,
            )


def _identity(file: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, or None if it cannot be reached."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
