"""Check this machine's snapshot files against the database, code by code, and repair them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.collections import CollectionRecord
from app.domain.perceptual import HASH_BITS, PERCEPTUAL_MODEL
from app.index.collection_index import CollectionIndex, IndexView, SnapshotForeign, SnapshotRefused
from app.services.index_sync.live_collection import FEED_BATCH
from app.services.index_sync.snapshots import SnapshotName, Snapshots
from app.store.engine import Database
from app.store.pictures.feed import FeedPruned
from app.store.unit_of_work import ReadUnit

NEVER_SAVED: Final = -1


class IndexFileFault(StrEnum):
    """Kinds of faults in snapshot files."""

    DAMAGED = "index_file_damaged"
    """The checksum or the length is wrong."""
    FOREIGN = "index_file_foreign"
    """The file belongs to another collection, model or history of the database, or to none in use."""
    OUTDATED = "index_file_outdated"
    """The change feed no longer contains the change after the file's version, as after a restore."""
    DIFFERS = "index_file_differs"
    """The file is intact, but some of its codes differ from the database's."""


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """The snapshot file of a collection's codes under its active model, or of its perceptual hashes."""

    record: CollectionRecord
    name: SnapshotName
    model: str
    """What its codes are stored under in the database."""
    bits: int


@dataclass(frozen=True, slots=True)
class FaultyFile:
    """A file that must not be loaded."""

    file: str
    fault: IndexFileFault
    detail: str
    expected: ExpectedFile | None
    """The file to write in its place; None if its name is that of no collection in use."""


class IndexFiles:
    """Check and repair the snapshot files that this machine's processes share."""

    def __init__(self, database: Database, snapshots: Snapshots) -> None:
        """Compare ``snapshots`` with ``database``."""
        self._database = database
        self._snapshots = snapshots

    async def check(self) -> list[FaultyFile]:
        """Compare every file with the database and return the faulty ones, ordered by file name.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        # List the files before the collections, so that no listed file belongs to a collection created later.
        files = await asyncio.to_thread(self._snapshots.files)
        async with self._database.read() as unit:
            expected = {one.name.file: one for one in await _expected_files(unit)}
        found = []
        for file in files:
            if file in expected:
                fault = await self._check_file(expected[file])
            elif await asyncio.to_thread(self._snapshots.is_stale, file):
                fault = IndexFileFault.FOREIGN, "it belongs to no collection under its active model"
            else:
                fault = None  # perhaps of the model before a switch; the next sweep of stale files removes it
            if fault is not None:
                found.append(FaultyFile(file, *fault, expected.get(file)))
        return found

    async def repair(self, faulty: FaultyFile) -> None:
        """Rewrite a file from the database, or remove it if it belongs to nothing in use.

        Raises:
            DatabaseUnavailable: The database does not answer; the file is removed.
        """
        await asyncio.to_thread(self._snapshots.remove_file, faulty.file)
        expected = faulty.expected
        if expected is None:
            return
        record, bits = expected.record, expected.bits
        async with self._database.read() as unit:
            if await unit.collections.by_pk(record.pk) is None:
                return
            numbers, codes = await unit.images.load_codes(record.pk, expected.model, bits)
            version = await unit.feed.latest()
        index = CollectionIndex(bits)
        await asyncio.to_thread(index.load, numbers, codes, version)
        await asyncio.to_thread(self._snapshots.save, expected.name, index, newer_than=NEVER_SAVED)

    async def _check_file(self, expected: ExpectedFile) -> tuple[IndexFileFault, str] | None:
        record, bits = expected.record, expected.bits
        try:
            index = await asyncio.to_thread(self._snapshots.open_verified, expected.name, bits)
        except SnapshotForeign as foreign:
            return IndexFileFault.FOREIGN, str(foreign)
        except SnapshotRefused as refused:
            return IndexFileFault.DAMAGED, str(refused)
        if index is None:
            return None
        view = index.view()
        async with self._database.read() as unit:
            latest = await unit.feed.latest()
            if view.version > latest:
                return IndexFileFault.FOREIGN, f"it is at change {view.version}, the database at {latest}"
            try:
                changed = await _changed_since(unit, record.pk, view.version)
            except FeedPruned as pruned:
                return IndexFileFault.OUTDATED, str(pruned)
            numbers, codes = await unit.images.load_codes(record.pk, expected.model, bits)
        count = await asyncio.to_thread(_count_different, view, numbers, codes, changed)
        return (IndexFileFault.DIFFERS, f"{count} codes differ from the database's") if count else None


async def _expected_files(unit: ReadUnit) -> list[ExpectedFile]:
    models = {model.name: model for model in await unit.models.list()}
    expected = []
    for record in await unit.collections.list_all():
        model = models[record.model]
        expected += [
            ExpectedFile(record, SnapshotName.of(record, model.digest), record.model, model.bits),
            ExpectedFile(record, SnapshotName.of_hashes(record), PERCEPTUAL_MODEL, HASH_BITS),
        ]
    return expected


async def _changed_since(unit: ReadUnit, collection_pk: int, version: int) -> Sequence[int]:
    """Return the insertion numbers of pictures changed after ``version``, whose codes a start reloads."""
    changed: set[int] = set()
    while changes := await unit.feed.since(version, FEED_BATCH):
        version = changes[-1].change
        changed |= {c.number for c in changes if c.collection_pk == collection_pk and c.number is not None}
    return sorted(changed)


def _count_different(
    view: IndexView, numbers: NDArray[np.int64], codes: NDArray[np.uint64], ignored: Sequence[int]
) -> int:
    """Count the pictures whose codes differ, or that only the file or only the database contains.

    Args:
        view: The file's index.
        numbers: The database's insertion numbers, ascending, shape (n,).
        codes: Their codes, shape (n, words).
        ignored: Insertion numbers to ignore.
    """
    ignored_numbers = np.array(ignored, np.int64)
    is_compared = ~np.isin(numbers, ignored_numbers)
    numbers, codes = numbers[is_compared], codes[is_compared]
    file_numbers, file_codes = view.codes_of(np.setdiff1d(view.main.numbers, ignored_numbers))
    shared, in_file, in_database = np.intersect1d(
        file_numbers, numbers, assume_unique=True, return_indices=True
    )
    unequal = int((file_codes[in_file] != codes[in_database]).any(axis=1).sum())
    return unequal + len(file_numbers) + len(numbers) - 2 * len(shared)
