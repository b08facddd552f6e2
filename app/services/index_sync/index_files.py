"""The indexes' snapshot files of this machine, compared with the database code by code, and made anew."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.index.collection_index import CollectionIndex, IndexView, SnapshotForeign, SnapshotRefused
from app.services.index_sync.live_collection import FEED_BATCH
from app.services.index_sync.snapshots import SnapshotName, Snapshots
from app.store.engine import Database
from app.store.feed import FeedPruned
from app.store.records import CollectionRecord
from app.store.unit_of_work import ReadUnit

NEVER_SAVED: Final = -1


class Fault(StrEnum):
    """What can be wrong with a file."""

    DAMAGED = "index_file_damaged"
    """Its checksum or its length does not hold."""
    FOREIGN = "index_file_foreign"
    """It is of another collection, model or history of the database, or of none that is in use."""
    OUTDATED = "index_file_outdated"
    """The change feed no longer reaches back to where it stands, as after a restore."""
    DIFFERS = "index_file_differs"
    """It is whole, and some code in it is not the database's."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A collection under its model, and the file that its index belongs in."""

    record: CollectionRecord
    name: SnapshotName
    bits: int


@dataclass(frozen=True, slots=True)
class FaultyFile:
    """A file that no start should trust."""

    file: str
    fault: Fault
    detail: str
    owned: Owned | None
    """Whose name it bears; None where that of nothing in use."""


class IndexFiles:
    """Checks and repairs the files in the folder that this machine's processes share."""

    def __init__(self, database: Database, snapshots: Snapshots) -> None:
        """Compare ``snapshots`` with ``database``."""
        self._database = database
        self._snapshots = snapshots

    async def check(self) -> list[FaultyFile]:
        """Read every file whole and compare it with the database; what is wrong, by the files' names.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        # Before the collections are: what is listed here is of those, or of none.
        files = await asyncio.to_thread(self._snapshots.files)
        async with self._database.read() as unit:
            owned = {one.name.file: one for one in await _owned(unit)}
        found = []
        for file in files:
            if file in owned:
                fault = await self._look_at(owned[file])
            elif await asyncio.to_thread(self._snapshots.is_stale, file):
                fault = Fault.FOREIGN, "it is of no collection under its present model"
            else:
                fault = None  # of the model before a switch, perhaps; it goes by itself
            if fault is not None:
                found.append(FaultyFile(file, *fault, owned.get(file)))
        return found

    async def repair(self, faulty: FaultyFile) -> None:
        """Write a file anew from the database, or remove it where it is of nothing in use.

        Raises:
            DatabaseUnavailable: The database does not answer; the file is gone.
        """
        await asyncio.to_thread(self._snapshots.remove_file, faulty.file)
        owned = faulty.owned
        if owned is None:
            return
        async with self._database.read() as unit:
            if await unit.collections.by_pk(owned.record.pk) is None:
                return
            numbers, codes = await unit.images.load_codes(owned.record.pk, owned.record.model, owned.bits)
            version = await unit.feed.latest()
        index = CollectionIndex(owned.bits)
        await asyncio.to_thread(index.load, numbers, codes, version)
        await asyncio.to_thread(self._snapshots.save, owned.name, index, newer_than=NEVER_SAVED)

    async def _look_at(self, owned: Owned) -> tuple[Fault, str] | None:
        try:
            index = await asyncio.to_thread(self._snapshots.examine, owned.name, owned.bits)
        except SnapshotForeign as foreign:
            return Fault.FOREIGN, str(foreign)
        except SnapshotRefused as refused:
            return Fault.DAMAGED, str(refused)
        if index is None:
            return None
        view = index.view()
        async with self._database.read() as unit:
            latest = await unit.feed.latest()
            if view.version > latest:
                return Fault.FOREIGN, f"it stands at change {view.version}, the database at {latest}"
            try:
                touched = await _touched_since(unit, owned.record.pk, view.version)
            except FeedPruned as pruned:
                return Fault.OUTDATED, str(pruned)
            numbers, codes = await unit.images.load_codes(owned.record.pk, owned.record.model, owned.bits)
        wrong = await asyncio.to_thread(_differing, view, numbers, codes, touched)
        return (Fault.DIFFERS, f"{wrong} codes are not the database's") if wrong else None


async def _owned(unit: ReadUnit) -> list[Owned]:
    models = {model.name: model for model in await unit.models.list()}
    return [
        Owned(record, SnapshotName.of(record, models[record.model].digest), models[record.model].bits)
        for record in await unit.collections.list_all()
    ]


async def _touched_since(unit: ReadUnit, collection_pk: int, version: int) -> Sequence[int]:
    """Pictures of which the feed says something after a change; a start reads these from the database."""
    touched: set[int] = set()
    while changes := await unit.feed.since(version, FEED_BATCH):
        version = changes[-1].change
        touched |= {c.number for c in changes if c.collection_pk == collection_pk and c.number is not None}
    return sorted(touched)


def _differing(
    view: IndexView, numbers: NDArray[np.int64], codes: NDArray[np.uint64], touched: Sequence[int]
) -> int:
    """Pictures whose code the file and the database do not agree on, those touched since left out.

    Args:
        view: The file's index.
        numbers: The database's insertion numbers, ascending, shape (n,).
        codes: Their codes, shape (n, words).
        touched: Insertion numbers that do not count.
    """
    left_out = np.array(touched, np.int64)
    settled = ~np.isin(numbers, left_out)
    numbers, codes = numbers[settled], codes[settled]
    own_numbers, own_codes = view.codes_of(np.setdiff1d(view.main.numbers, left_out))
    shared, mine, theirs = np.intersect1d(own_numbers, numbers, assume_unique=True, return_indices=True)
    unequal = int((own_codes[mine] != codes[theirs]).any(axis=1).sum())
    return unequal + len(own_numbers) + len(numbers) - 2 * len(shared)
