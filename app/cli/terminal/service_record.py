"""The record of a running service in its data folder, where commands find it.

A service keeps an exclusive lock on its record for as long as it runs. The system releases the lock when the
process ends, even by SIGKILL, so a record without a lock is stale, even if its process id is in use again.

Commands send their key to the service of a record. Other users of the machine therefore can neither read a
record, which would let them lock a stale one and listen on its port, nor write one that counts.
"""

import contextlib
import fcntl
import json
import os
import secrets
import stat
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final, Self

from app import __version__

FOLDER: Final = "services"
"""Folder of the records in the data folder."""
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service that runs on a data folder of this machine."""

    url: str
    database: str
    """The URL of its database, without the password."""
    pid: int
    version: str
    started_at: str
    network: str = ""
    """The network in which its URL holds; containers have their own. Empty where the system does not tell."""

    @classmethod
    def here(cls, host: str, port: int, database: str) -> Self:
        """Describe the service of this process, which listens on ``host`` and ``port``."""
        started_at = datetime.now(UTC).isoformat()
        return cls(local_url(host, port), database, os.getpid(), __version__, started_at, _own_network())

    @property
    def is_reachable(self) -> bool:
        """Whether its URL is that of this service for the caller too."""
        return self.network in {"", _own_network()}


def local_url(host: str, port: int) -> str:
    """Return the URL at which this machine reaches a service; ``0.0.0.0`` and ``::`` become loopback."""
    reached = _ANY_ADDRESS.get(host, host)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"


class ServiceRecord:
    """The record of the service of this process."""

    def __init__(self, data_dir: Path) -> None:
        """Write nothing before ``write``."""
        self._folder = data_dir / FOLDER
        self._path: Path | None = None
        self._file: IO[str] | None = None

    def write(self, service: RunningService) -> None:
        """Record the service and remove stale records; without a writable folder, commands do not find it."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            running_services(self._folder.parent, remove_stale=True)
            # Locked before it has its name: nobody may take it for stale.
            path = self._folder / f"{secrets.token_hex(8)}.json"
            unnamed = path.with_suffix(".new")
            file = os.fdopen(os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
            fcntl.flock(file, fcntl.LOCK_EX)
            json.dump(asdict(service), file)
            file.flush()
            unnamed.rename(path)
            self._file, self._path = file, path

    def remove(self) -> None:
        """Remove the record at the end of the service."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()
        self._path = self._file = None


def running_services(data_dir: Path, *, remove_stale: bool = False) -> list[RunningService]:
    """Return the services that run on a data folder, the newest first.

    Args:
        data_dir: The data folder.
        remove_stale: Whether to delete the records of services that have ended without doing so.
    """
    found = []
    for path in (data_dir / FOLDER).glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError), path.open() as file:
            if _is_locked(file):
                if _is_trustworthy(file, data_dir):
                    found.append(RunningService(**json.load(file)))
            elif remove_stale:
                path.unlink(missing_ok=True)
    return sorted(found, key=lambda service: service.started_at, reverse=True)


def stale_records(data_dir: Path) -> list[Path]:
    """Return the records that services left behind when they were killed."""
    stale = []
    for path in (data_dir / FOLDER).glob("*.json"):
        with contextlib.suppress(OSError), path.open() as file:
            if not _is_locked(file):
                stale.append(path)
    return stale


def _own_network() -> str:
    """Return the identity of the network namespace of this process."""
    try:
        return str(Path("/proc/self/ns/net").readlink())
    except OSError:
        return ""


def _is_trustworthy(file: IO[str], data_dir: Path) -> bool:
    """Return whether the caller, root or the owner of the data folder wrote a record, and others cannot."""
    status = os.fstat(file.fileno())
    owners = {os.geteuid(), 0, data_dir.stat().st_uid}
    return status.st_uid in owners and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False
