"""One collection as a process serves it, and how the changes of the feed reach its index."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import codes_from_bytes
from app.domain.filters import Filter
from app.index.collection_index import CollectionIndex, IndexDelta
from app.services.index_sync.snapshots import SnapshotName
from app.store.records import Change, CollectionRecord
from app.store.unit_of_work import ReadUnit

FEED_BATCH: Final = 5_000
"""Changes applied at one time, so that a long absence is caught up in steps of bounded memory."""


@dataclass(slots=True)
class LiveCollection:
    """A collection as this process serves it."""

    record: CollectionRecord
    index: CollectionIndex
    model_digest: str
    filters: dict[str, Filter] = field(default_factory=dict)
    """Filters whose bitmaps the index keeps, to decide them on each change."""
    missing: dict[int, str | None] = field(default_factory=dict)
    """Pictures without a code under its model, each with the reason, or None where encoding was not tried."""
    saved: int = 0
    """Change number of the newest snapshot known."""
    unsaved: int = 0
    """Pictures read from rows, or changed, that it does not hold."""

    @property
    def failed(self) -> int:
        """Pictures that are not searched because they could not be encoded under its model."""
        return sum(reason is not None for reason in self.missing.values())

    @property
    def pending(self) -> int:
        """Pictures that are not searched because they have not been encoded under its model yet."""
        return len(self.missing) - self.failed

    @property
    def snapshot_name(self) -> SnapshotName:
        """What a snapshot of it is called."""
        return SnapshotName.of(self.record, self.model_digest)


async def apply_changes(
    unit: ReadUnit, collection: LiveCollection, changes: Sequence[Change], version: int
) -> None:
    """Bring an index up to change number ``version``.

    Args:
        unit: The database as of that change or a later one.
        collection: What to bring up.
        changes: The feed's entries of its pictures since the index's version.
        version: Change number to stand at afterwards.
    """
    pk, model = collection.record.pk, collection.record.model
    touched = sorted({change.number for change in changes if change.number is not None})
    coded = sorted({c.number for c in changes if c.number is not None and _may_bring_code(c, model)})
    # Pictures are read as they are now: one deleted by a later change of the feed is simply absent.
    codes = await unit.images.codes_of(pk, model, coded) if coded else {}
    present = await unit.images.by_numbers(pk, touched) if touched else {}
    put = sorted(codes)
    delta = IndexDelta(
        version=version,
        put_numbers=ascending(put),
        put_codes=codes_from_bytes(b"".join(codes[n] for n in put), collection.index.bits),
        deleted_numbers=ascending([n for n in touched if n not in present]),
        touched_numbers=ascending(touched),
        filter_matches={
            key: ascending([n for n, record in present.items() if f.matches(record.metadata)])
            for key, f in collection.filters.items()
        },
    )
    await asyncio.to_thread(collection.index.apply, delta)
    for number in coded:
        collection.missing[number] = None
    for number in (*put, *(n for n in touched if n not in present)):
        collection.missing.pop(number, None)
    collection.unsaved += len(changes)


def _may_bring_code(change: Change, model: str) -> bool:
    return change.kind == "image_put" or (change.kind == "code_put" and change.model == model)


def ascending(numbers: Sequence[int]) -> NDArray[np.int64]:
    """Insertion numbers as the index takes them: int64, shape (n,), ascending."""
    return np.array(sorted(numbers), dtype=np.int64)
