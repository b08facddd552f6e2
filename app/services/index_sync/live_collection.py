"""A collection as this process serves it, and the application of feed changes to its index."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.changes import Change, ChangeKind
from app.domain.codes import codes_from_bytes
from app.domain.collections import CollectionRecord
from app.domain.filters import Filter
from app.domain.perceptual import HASH_BITS, PERCEPTUAL_MODEL
from app.index.collection_index import CollectionIndex, IndexDelta
from app.index.descriptor_cache import DescriptorBudget, DescriptorCache
from app.remote.remote_index import RemoteIndex
from app.services.index_sync.missing_pictures import MissingPictures
from app.services.index_sync.snapshots import SnapshotName
from app.store.unit_of_work import ReadUnit

FEED_BATCH: Final = 5_000
"""Number of changes applied at a time; bounds memory when an index is far behind."""


@dataclass(slots=True)
class LiveCollection:
    """A collection as this process serves it."""

    record: CollectionRecord
    index: CollectionIndex | RemoteIndex
    model_digest: str
    hashes: CollectionIndex = field(default_factory=lambda: CollectionIndex(HASH_BITS))
    """Perceptual hashes of the pictures that have one; kept up to date with ``index``, with the same filters.

    ``hashes.view().code_of(number)`` is the hash of a picture, and ``hashes.view().search_many`` scans all of
    them. The two indexes are published one after the other, so a picture may be in only one for a moment. It is
    empty where ``index`` is on another server.
    """
    remote_hashes: RemoteIndex | None = None
    """Perceptual hashes on the server of ``index``; None if that holds none yet, or ``index`` is local.

    It knows no filters, and its ``count`` is not kept.
    """
    filters: dict[str, Filter] = field(default_factory=dict)
    """Filters whose bitmaps the index keeps, by key; each changed picture is matched against them."""
    missing: MissingPictures = field(default_factory=MissingPictures)
    """Pictures without a code under the model, which searches do not find."""
    snapshot_version: int = 0
    """Change number of the newest known snapshot."""
    snapshot_at: float | None = None
    """When the snapshot was written, in seconds since the epoch; None if there is none."""
    ranks_by_descriptor: bool = False
    """Whether rank auto orders by descriptors."""
    descriptors: DescriptorCache = field(default_factory=lambda: DescriptorBudget(0).new_cache())
    """Descriptors under the model that searches have read; changed pictures are removed."""
    unsaved: int = 0
    """Number of codes read from rows, and of changes, that this snapshot does not contain."""

    @property
    def index_bytes(self) -> int:
        """Memory of codes, perceptual hashes and descriptors in this process, in bytes."""
        remote_hashes = 0 if self.remote_hashes is None else self.remote_hashes.view().nbytes
        return self.index.view().nbytes + self.hashes.view().nbytes + remote_hashes + self.descriptors.nbytes

    @property
    def local_index(self) -> CollectionIndex | None:
        """Its index, if it is in this process."""
        return self.index if isinstance(self.index, CollectionIndex) else None

    @property
    def remote_indexes(self) -> list[RemoteIndex]:
        """Its indexes on another server: of its codes, and of its perceptual hashes."""
        if not isinstance(self.index, RemoteIndex):
            return []
        return [self.index] if self.remote_hashes is None else [self.index, self.remote_hashes]

    @property
    def snapshot_name(self) -> SnapshotName:
        """Name of the snapshot of its index."""
        return SnapshotName.of(self.record, self.model_digest)

    @property
    def snapshots(self) -> Sequence[tuple[SnapshotName, CollectionIndex]]:
        """The indexes that are saved, each with the name of its snapshot."""
        if self.local_index is None:
            return ()
        return (SnapshotName.of_hashes(self.record), self.hashes), (self.snapshot_name, self.local_index)


async def apply_changes(
    unit: ReadUnit, collection: LiveCollection, changes: Sequence[Change], version: int
) -> None:
    """Bring the indexes of a collection up to change number ``version``.

    Args:
        unit: A read unit at that change or a later one.
        collection: The collection.
        changes: Its pictures' feed entries after the index's version.
        version: The index's version afterwards.
    """
    pk, model, index = collection.record.pk, collection.record.model, collection.index
    all_changes = changes
    if isinstance(index, RemoteIndex):
        changes = relevant_changes(changes, model)
    touched = sorted({change.number for change in changes if change.number is not None})
    coded = sorted({c.number for c in changes if c.number is not None and _may_add_code(c, model, index)})
    hashed = sorted(
        {c.number for c in changes if c.number is not None and _may_add_code(c, PERCEPTUAL_MODEL, index)}
        if isinstance(index, CollectionIndex)
        else ()
    )
    # Read the current rows: a picture that a later change deletes is absent.
    codes = await unit.images.codes_of(pk, model, coded) if coded else {}
    hashes = await unit.images.codes_of(pk, PERCEPTUAL_MODEL, hashed) if hashed else {}
    present = await unit.images.by_numbers(pk, touched) if touched else {}
    uncoded = [n for n in coded if n not in codes and n in present]
    unhashed = [n for n in hashed if n not in hashes and n in present]
    reasons = await unit.coverage.reasons_of(pk, model, uncoded) if uncoded else {}
    deleted = [n for n in touched if n not in present]
    matches = {
        key: ascending([n for n, record in present.items() if f.matches(record.metadata)])
        for key, f in collection.filters.items()
    }

    def delta_of(put: Mapping[int, bytes], removed: Sequence[int], bits: int) -> IndexDelta:
        return IndexDelta(
            version=version,
            put_numbers=ascending(list(put)),
            put_codes=codes_from_bytes(b"".join(put[n] for n in sorted(put)), bits),
            # The code of a picture that was replaced by one without a code is another picture's.
            deleted_numbers=ascending([*removed, *deleted]),
            touched_numbers=ascending(touched),
            filter_matches=matches,
        )

    delta = delta_of(codes, uncoded, index.bits)
    if isinstance(index, RemoteIndex):
        if collection.remote_hashes is not None:
            await apply_hash_changes(unit, pk, collection.remote_hashes, all_changes, version)
        await asyncio.to_thread(
            index.apply, delta, read_at=await unit.feed.latest(), missing=collection.missing
        )
    else:
        await asyncio.to_thread(collection.hashes.apply, delta_of(hashes, unhashed, collection.hashes.bits))
        await asyncio.to_thread(index.apply, delta)
    collection.descriptors.forget(ascending([*coded, *deleted]))
    collection.missing.remove(codes)
    collection.missing.remove(deleted)
    collection.missing.add(uncoded, reasons)
    collection.unsaved += len(changes)


async def apply_hash_changes(
    unit: ReadUnit, collection_pk: int, hashes: RemoteIndex, changes: Sequence[Change], version: int
) -> None:
    """Bring an index of perceptual hashes on another server up to change number ``version``.

    Args:
        unit: A read unit at that change or a later one.
        collection_pk: Key of the collection.
        hashes: The index.
        changes: The collection's feed entries of pictures after the index's version.
        version: The index's version afterwards.
    """
    relevant = relevant_changes(changes, PERCEPTUAL_MODEL)
    touched = sorted({change.number for change in relevant if change.number is not None})
    stored = await unit.images.codes_of(collection_pk, PERCEPTUAL_MODEL, touched) if touched else {}
    delta = IndexDelta(
        version=version,
        put_numbers=ascending(list(stored)),
        put_codes=codes_from_bytes(b"".join(stored[n] for n in sorted(stored)), hashes.bits),
        deleted_numbers=ascending([n for n in touched if n not in stored]),
        touched_numbers=ascending(touched),
    )
    await asyncio.to_thread(hashes.apply, delta, read_at=await unit.feed.latest(), missing=())


def relevant_changes(changes: Sequence[Change], model: str) -> list[Change]:
    """Return the changes of pictures, without codes under other models; hashes have no metadata to change."""
    if model == PERCEPTUAL_MODEL:
        changes = [change for change in changes if change.kind != ChangeKind.IMAGE_PATCHED]
    return [change for change in changes if change.kind != ChangeKind.CODE_PUT or change.model == model]


def _may_add_code(change: Change, model: str, index: CollectionIndex | RemoteIndex) -> bool:
    if change.kind == "image_patched":
        # The server that holds the index gets the code together with the metadata.
        return isinstance(index, RemoteIndex)
    return change.kind == "image_put" or (change.kind == "code_put" and change.model == model)


def ascending(numbers: Sequence[int]) -> NDArray[np.int64]:
    """Return insertion numbers as an ascending array, int64, shape (n,)."""
    return np.array(sorted(numbers), dtype=np.int64)
