"""Open, save and sweep index snapshots in a folder that the processes of one machine share."""

import fcntl
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from app.domain.collections import CollectionRecord
from app.domain.perceptual import PERCEPTUAL_DIGEST
from app.index.collection_index import CollectionIndex, SnapshotRefused, saved_version

_log = structlog.get_logger()

STALE_AFTER_S: Final = 3_600
"""Age in seconds after which an unused file is removed; this process may not know a new collection yet."""
MAX_CHANGES_BEHIND: Final = 50_000
"""A snapshot more changes behind is saved again, even if its collection did not change: a snapshot is useless
once the feed is pruned past its version."""
SHARE_EVERY_S: Final = 600
"""Seconds after which an index switches to the pages of a newer snapshot, which other processes share."""


@dataclass(frozen=True, slots=True)
class SnapshotName:
    """File name and owner of a snapshot."""

    file: str
    owner: str
    """The collection's key and creation time, which together are unique across databases, and the model."""

    @classmethod
    def of(cls, record: CollectionRecord, model_digest: str) -> "SnapshotName":
        """Return the name of a collection's snapshot under a model."""
        owner = f"collection {record.pk} of {record.created_at.isoformat()}, model {model_digest}"
        return cls(f"{record.pk}-{model_digest[:16]}.index", owner)

    @classmethod
    def of_hashes(cls, record: CollectionRecord) -> "SnapshotName":
        """Return the name of the snapshot of a collection's perceptual hashes."""
        return cls.of(record, PERCEPTUAL_DIGEST)


class Snapshots:
    """The folder of snapshots. Every method may block on the disk: call it in a thread."""

    def __init__(self, folder: Path | None, *, shares_pages: bool = False) -> None:
        """Store snapshots.

        Args:
            folder: The folder, or None to store none.
            shares_pages: Whether indexes map the files, so that processes share their memory, or copy them.
        """
        self._folder = folder
        self._shares_pages = shares_pages

    def files(self) -> list[str]:
        """Return the names of the snapshot files, sorted, without temporary files."""
        if self._folder is None or not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.glob("*.index") if not path.name.startswith("."))

    def open_verified(self, name: SnapshotName, bits: int) -> CollectionIndex | None:
        """Open a snapshot and verify all its bytes; return None if it does not exist.

        Raises:
            SnapshotForeign: The file has another owner.
            SnapshotRefused: The file is damaged.
        """
        if self._folder is None:
            return None
        path = self._folder / name.file
        try:
            return CollectionIndex.open(path, bits, name.owner)
        except SnapshotRefused:
            if path.exists():
                raise
            return None

    def saved_at(self, name: SnapshotName) -> float | None:
        """Return when a snapshot was written, in seconds since the epoch; None if it does not exist."""
        try:
            return None if self._folder is None else (self._folder / name.file).stat().st_mtime
        except OSError:
            return None

    def is_stale(self, file: str) -> bool:
        """Return whether the file is too old for any lagging process to need it."""
        if self._folder is None:
            return False
        try:
            return (self._folder / file).stat().st_mtime < time.time() - STALE_AFTER_S
        except OSError:
            return False

    def open(self, name: SnapshotName, bits: int) -> CollectionIndex | None:
        """Open a snapshot; return None if it does not exist or is invalid."""
        if self._folder is None or not (path := self._folder / name.file).exists():
            return None
        try:
            return CollectionIndex.open(path, bits, name.owner, is_mapped=self._shares_pages)
        except SnapshotRefused as refused:
            self.refuse(name, str(refused))
            return None

    def refuse(self, name: SnapshotName, reason: str) -> None:
        """Remove an invalid snapshot, so that no other process loads it."""
        _log.warning("snapshot_refused", file=name.file, detail=reason)
        self.remove(name)

    def remove(self, name: SnapshotName) -> None:
        """Remove a snapshot if it exists."""
        self.remove_file(name.file)

    def remove_file(self, file: str) -> None:
        """Remove a file by name if it exists."""
        if self._folder is not None:
            with suppress(OSError):
                (self._folder / file).unlink()

    def save(self, name: SnapshotName, index: CollectionIndex, *, newer_than: int) -> int | None:
        """Save an index unless another process has saved it or is writing to the folder.

        Args:
            name: The snapshot's name.
            index: The index; searches and writes continue meanwhile.
            newer_than: Change number of the newest known snapshot.

        Returns:
            Change number of the newest snapshot; None if it is unknown.
        """
        if self._folder is None:
            return None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _try_lock(self._folder) as is_locked:
                if not is_locked:
                    return None
                path = self._folder / name.file
                existing = saved_version(path, name.owner)
                if existing is not None and existing > newer_than:
                    return existing
                start = time.perf_counter()
                version = index.save(path, name.owner)
        except OSError as error:
            # Snapshots are optional: the next start loads from the database.
            _log.warning("snapshot_not_saved", file=name.file, detail=str(error))
            return None
        _log.info(
            "snapshot_saved", file=name.file, version=version, seconds=round(time.perf_counter() - start, 3)
        )
        return version

    def share(self, name: SnapshotName, index: CollectionIndex) -> None:
        """Replace an index's codes with the memory-mapped pages of a newer snapshot, which processes share.

        Do so at once if the index has many private codes, otherwise every ``SHARE_EVERY_S`` seconds: its hash
        tables may have to be rebuilt.
        """
        if self._folder is None or not self._shares_pages:
            return
        if not (index.wants_sharing or index.shared_for_s > SHARE_EVERY_S):
            return
        path = self._folder / name.file
        version = saved_version(path, name.owner)
        if version is None or version <= index.shared_version:
            return
        try:
            is_shared = index.share(path, name.owner)
        except SnapshotRefused as refused:
            self.refuse(name, str(refused))
            return
        if is_shared:
            _log.info("snapshot_shared", file=name.file, version=version, own=index.view().own_rows)

    def sweep(self, in_use: Collection[SnapshotName]) -> None:
        """Remove temporary files of killed processes, and snapshots of unused collections and models."""
        if self._folder is None or not self._folder.is_dir():
            return
        kept = {name.file for name in in_use}
        with suppress(OSError), _try_lock(self._folder) as is_locked:
            if not is_locked:
                return
            # Temporary files are written under the lock, so these belong to processes that died.
            for path in self._folder.glob(".*.index.*"):
                path.unlink()
            for file in self.files():
                if file not in kept and self.is_stale(file):
                    self.remove_file(file)


@contextmanager
def _try_lock(folder: Path) -> Iterator[bool]:
    """Lock the folder against other processes; yield False if one holds the lock. It ends with the process."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
