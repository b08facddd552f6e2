"""Snapshots of indexes in a folder that the processes of one machine share: found, saved, and swept."""

import fcntl
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from app.index.collection_index import CollectionIndex, SnapshotRefused, saved_version
from app.store.records import CollectionRecord

_log = structlog.get_logger()

STALE_AFTER_S: Final = 3_600
"""Age at which a file of no collection goes; a process that is behind may not know of a collection yet."""
RENEW_BEHIND: Final = 50_000
"""A snapshot that is so many changes behind is saved again, also where none of them is of its collection: the
feed is pruned, and a snapshot that the feed no longer reaches is of no use."""
TAKEN_UP_EVERY_S: Final = 600
"""How long processes may hold different snapshots' pages, of which they share none."""


@dataclass(frozen=True, slots=True)
class SnapshotName:
    """What one snapshot is of, and so where it lies."""

    file: str
    owner: str
    """Names the collection by its key and birth, so that another database's collection is another owner."""

    @classmethod
    def of(cls, record: CollectionRecord, model_digest: str) -> "SnapshotName":
        """The name of the snapshot of a collection under a model."""
        owner = f"collection {record.pk} of {record.created_at.isoformat()}, model {model_digest}"
        return cls(f"{record.pk}-{model_digest[:16]}.index", owner)


class Snapshots:
    """The folder. Every method may block on the disk: call it in a thread."""

    def __init__(self, folder: Path | None) -> None:
        """Keep snapshots in ``folder``, or none at all."""
        self._folder = folder

    def files(self) -> list[str]:
        """Names of the files that are whole as far as their names tell, in order."""
        if self._folder is None or not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.glob("*.index") if not path.name.startswith("."))

    def examine(self, name: SnapshotName, bits: int) -> CollectionIndex | None:
        """The index that was saved under that name, every byte checked; None where there is none any more.

        Raises:
            SnapshotForeign: The file is of something else.
            SnapshotRefused: It is damaged.
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

    def is_stale(self, file: str) -> bool:
        """Whether a file is so old that no process can be about to need it that does not yet know why."""
        if self._folder is None:
            return False
        try:
            return (self._folder / file).stat().st_mtime < time.time() - STALE_AFTER_S
        except OSError:
            return False

    def open(self, name: SnapshotName, bits: int) -> CollectionIndex | None:
        """The index that was saved under that name; None where there is none to be trusted."""
        if self._folder is None or not (path := self._folder / name.file).exists():
            return None
        try:
            return CollectionIndex.open(path, bits, name.owner)
        except SnapshotRefused as refused:
            self.refuse(name, str(refused))
            return None

    def refuse(self, name: SnapshotName, reason: str) -> None:
        """Remove a snapshot that is not to be trusted, so that nobody takes it for a recent one."""
        _log.warning("snapshot_refused", file=name.file, detail=reason)
        self.remove(name)

    def remove(self, name: SnapshotName) -> None:
        """Remove the snapshot of that name, if there is one."""
        self.remove_file(name.file)

    def remove_file(self, file: str) -> None:
        """Remove a file, whatever it is of."""
        if self._folder is not None:
            with suppress(OSError):
                (self._folder / file).unlink()

    def save(self, name: SnapshotName, index: CollectionIndex, *, newer_than: int) -> int | None:
        """Save an index unless another process has, or is doing so.

        Args:
            name: What it is of.
            index: The index; searches and writes go on meanwhile.
            newer_than: The change number of the last snapshot known.

        Returns:
            Change number of the newest snapshot; None where that is not known.
        """
        if self._folder is None:
            return None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _alone_in(self._folder) as is_alone:
                if not is_alone:
                    return None
                path = self._folder / name.file
                others = saved_version(path, name.owner)
                if others is not None and others > newer_than:
                    return others
                begun = time.perf_counter()
                version = index.save(path, name.owner)
        except OSError as error:
            # The service does without: the next start loads from the database.
            _log.warning("snapshot_not_saved", file=name.file, detail=str(error))
            return None
        _log.info(
            "snapshot_saved", file=name.file, version=version, seconds=round(time.perf_counter() - begun, 3)
        )
        return version

    def share(self, name: SnapshotName, index: CollectionIndex) -> None:
        """Have an index take its codes from a newer snapshot of that name, as the machine's other processes do.

        At once where it keeps many of its own, else now and then: its tables may have to be built anew.
        """
        if self._folder is None or not (index.wants_sharing or index.shared_for_s > TAKEN_UP_EVERY_S):
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

    def sweep(self, living: Collection[SnapshotName]) -> None:
        """Remove what killed processes left, and snapshots of collections and models no longer in use."""
        if self._folder is None or not self._folder.is_dir():
            return
        kept = {name.file for name in living}
        with suppress(OSError), _alone_in(self._folder) as is_alone:
            if not is_alone:
                return
            # Alone: whoever began a temporary file has died.
            for path in self._folder.glob(".*.index.*"):
                path.unlink()
            for file in self.files():
                if file not in kept and self.is_stale(file):
                    self.remove_file(file)


@contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Whether no other process writes to the folder; the lock ends with the process, however it ends."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
