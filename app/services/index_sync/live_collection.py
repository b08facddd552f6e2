"""A collection as this process serves it, and the application of feed changes to its index."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.changes import Change
from app.domain.codes import codes_from_bytes
from app.domain.collections import CollectionRecord
from app.domain.filters import Filter
from app.index.collection_index import CollectionIndex, IndexDelta
from app.services.index_sync.missing_pictures import MissingPictures
from app.services.index_sync.snapshots import SnapshotName
from app.store.unit_of_work import ReadUnit

FEED_BATCH: Final = 5_000
"""Number of changes applied at a time; bounds memory when an index is far behind."""


@dataclass(slots=True)
class LiveCollection:
    """A collection as this process serves it."""

    record: CollectionRecord
    index: CollectionIndex
    model_digest: str
    filters: dict[str, Filter] = field(default_factory=dict)
    """Filters whose bitmaps the index keeps, by key; each changed picture is matched against them."""
    missing: MissingPictures = field(default_factory=MissingPictures)
    """Pictures without a code under the model, which searches do not find."""
    snapshot_version: int = 0
    """Change number of the newest known snapshot."""
    snapshot_at: float | None = None
    """When the snapshot was written, in seconds since the epoch; None if there is none."""
    unsaved: int = 0
    """Number of codes read from rows, and of changes, that this snapshot does not contain."""

    @property
    def snapshot_name(self) -> SnapshotName:
        """Name of the snapshot of its index."""
        return SnapshotName.of(self.record, self.model_digest)


async def apply_changes(
    unit: ReadUnit, collection: LiveCollection, changes: Sequence[Change], version: int
) -> None:
    """Bring an index up to change number ``version``.

    Args:
        unit: A read unit at that change or a later one.
        collection: The collection.
        changes: Its pictures' feed entries after the index's version.
        version: The index's version afterwards.
    """
    pk, model = collection.record.pk, collection.record.model
    touched = sorted({change.number for change in changes if change.number is not None})
    coded = sorted({c.number for c in changes if c.number is not None and _may_add_code(c, model)})
    # Read the current rows: a picture that a later change deletes is absent.
    codes = await unit.images.codes_of(pk, model, coded) if coded else {}
    present = await unit.images.by_numbers(pk, touched) if touched else {}
    put = sorted(codes)
    uncoded = [n for n in coded if n not in codes and n in present]
    reasons = await unit.coverage.reasons_of(pk, model, uncoded) if uncoded else {}
    delta = IndexDelta(
        version=version,
        put_numbers=ascending(put),
        put_codes=codes_from_bytes(b"".join(codes[n] for n in put), collection.index.bits),
        # The code of a picture that was replaced by one without a code is another picture's.
        deleted_numbers=ascending([*uncoded, *(n for n in touched if n not in present)]),
        touched_numbers=ascending(touched),
        filter_matches={
            key: ascending([n for n, record in present.items() if f.matches(record.metadata)])
            for key, f in collection.filters.items()
        },
    )
    await asyncio.to_thread(collection.index.apply, delta)
    collection.missing.remove(put)
    collection.missing.remove(n for n in touched if n not in present)
    collection.missing.add(uncoded, reasons)
    collection.unsaved += len(changes)


def _may_add_code(change: Change, model: str) -> bool:
    return change.kind == "image_put" or (change.kind == "code_put" and change.model == model)


def ascending(numbers: Sequence[int]) -> NDArray[np.int64]:
    """Return insertion numbers as an ascending array, int64, shape (n,)."""
    return np.array(sorted(numbers), dtype=np.int64)
