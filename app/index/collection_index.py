"""The index of one collection under one model: the interface that services use."""

import threading
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from app.domain.codes import check_bits, words_for
from app.index.buckets import MAX_BITS as MAX_BUCKET_BITS
from app.index.delta import SLACK, IndexDelta, apply_delta, merge_view, needs_merge
from app.index.distance_kernels import LANE
from app.index.engine import Engine
from app.index.matrix import CodeMatrix, Codes, Neighbours, Numbers, empty_matrix
from app.index.planner import build_engine, share_answered
from app.index.recent_searches import RecentSearches
from app.index.scan import SINGLE_THREAD, ScanThreads
from app.index.sharing import rebase_on_snapshot
from app.index.snapshot import (
    Snapshot,
    SnapshotForeign,
    SnapshotRefused,
    read_snapshot,
    saved_version,
    write_snapshot,
)
from app.index.view import IndexView

__all__ = [
    "CollectionIndex",
    "IndexDelta",
    "IndexView",
    "Neighbours",
    "ScanThreads",
    "SnapshotForeign",
    "SnapshotRefused",
    "saved_version",
]

MAX_FILTERS: Final = 64
HASH_FROM: Final = 1 << 21
"""Words of codes below which no tables are built: a scan from the cache is as fast as trying tables."""
BUCKETS_FROM: Final = 1 / 8
"""Share of ``HASH_FROM`` that applies when codes are so short that each has a bucket."""
MIN_USE: Final = 1 / 2
"""Share of recent searches or trial queries that tables must answer faster than a scan to be kept."""

MAX_OWN_SHARE: Final = 1 / 8
"""Share of the codes that a process may hold privately before it maps a newer snapshot."""


class CollectionIndex:
    """Codes of one collection under one model, for one writer and any number of readers that never wait."""

    def __init__(
        self,
        bits: int,
        *,
        slack: int = SLACK,
        hash_from: int = HASH_FROM,
        min_use: float = MIN_USE,
    ) -> None:
        """Create an empty index for codes of ``bits`` bits.

        Args:
            bits: Code length.
            slack: Up to this many deleted, replaced or added rows never cause a merge.
            hash_from: Words from which ``build_engines`` builds tables, an eighth of it for buckets; 0 for
                never.
            min_use: Share of recent searches or trial queries that tables must answer to be kept.

        Raises:
            ValueError: The code length is not supported.
        """
        self.bits = check_bits(bits)
        self._slack = slack
        self._words = words_for(bits)
        self._threads = SINGLE_THREAD
        self._hash_from = hash_from
        self._min_use = min_use
        self.shared_version = -1
        """Change number of the mapped snapshot that holds the codes, or held them before a merge."""
        self._shared_at = time.monotonic()
        self._writing = threading.Lock()
        self._building = threading.Lock()
        self._filters: OrderedDict[str, None] = OrderedDict()
        self._recent = RecentSearches()
        self._view = self._view_of(empty_matrix(self._words), 0)

    def _view_of(self, main: CodeMatrix, version: int) -> IndexView:
        tail, moved = (empty_matrix(self._words, main.filters) for _ in range(2))
        return IndexView(self.bits, version, main, tail, moved, self._threads, self._recent)

    def view(self) -> IndexView:
        """The most recently published state."""
        return self._view

    def filter_keys(self) -> list[str]:
        """Keys of the filters whose bitmaps are kept."""
        return list(self._filters)

    def load(self, numbers: Numbers, codes: Codes, version: int) -> None:
        """Replace the whole contents.

        Args:
            numbers: Insertion numbers, strictly ascending, shape (n,).
            codes: Shape (n, words).
            version: Change number of this state.
        """
        with self._writing:
            self._filters.clear()
            self._view = self._view_of(CodeMatrix.of(numbers, codes), version)

    @classmethod
    def open(cls, path: Path, bits: int, owner: str, *, is_mapped: bool = False) -> Self:
        """Open a snapshot written by ``save``.

        Args:
            path: The snapshot.
            bits: The code length that it must have.
            owner: The owner that it must have.
            is_mapped: Whether its codes stay in the mapped file, which processes share, or are copied.

        Raises:
            SnapshotForeign: It has another owner or code length.
            SnapshotRefused: It is missing or damaged.
        """
        snapshot = read_snapshot(path, bits=bits, owner=owner, is_mapped=is_mapped)
        index = cls(bits)
        main = CodeMatrix.of_columns(snapshot.numbers, snapshot.columns, is_shared=is_mapped)
        index._view = index._view_of(main, snapshot.version)
        index.shared_version = snapshot.version
        return index

    def save(self, path: Path, owner: str) -> int:
        """Write the most recently published state to a snapshot; searches and writes continue.

        Args:
            path: File to replace once the new one is complete.
            owner: What the codes belong to; ``open`` must name the same owner.

        Returns:
            Change number of the snapshot.

        Raises:
            OSError: The disk is full, or the folder is not writable.
        """
        view = self.view()
        is_settled = view.count == view.main.alive == view.main.count
        matrix = view.main if is_settled else merge_view(view)
        write_snapshot(path, Snapshot(self.bits, owner, view.version, matrix.numbers, matrix.columns))
        return view.version

    @property
    def wants_sharing(self) -> bool:
        """Whether enough codes are in private memory for ``share`` to be worth its work."""
        view = self._view
        return view.own_rows > max(self._slack, MAX_OWN_SHARE * view.count)

    @property
    def shared_for_s(self) -> float:
        """Seconds since codes were last taken from a snapshot, or since the index was created."""
        return time.monotonic() - self._shared_at

    def share(self, path: Path, owner: str) -> bool:
        """Replace private codes by the snapshot's pages, which processes share; answers stay the same.

        Searches continue, writes wait. Tables are kept if no row moves, otherwise they are built again.

        Returns:
            Whether codes were replaced; False if the snapshot is of a later state than this index.

        Raises:
            SnapshotRefused: It is missing, damaged, or has another owner or code length.
        """
        snapshot = read_snapshot(path, bits=self.bits, owner=owner, is_mapped=True)
        with self._writing:
            if snapshot.version > self._view.version:
                return False
            saved = CodeMatrix.of_columns(snapshot.numbers, snapshot.columns, is_shared=True)
            self._view = rebase_on_snapshot(self._view, saved)
            self.shared_version = snapshot.version
            self._shared_at = time.monotonic()
        return True

    def put_filter(self, key: str, numbers: Numbers, version: int) -> None:
        """Keep the bitmap of a filter; the oldest one is dropped when there are too many.

        Raises:
            ValueError: The numbers belong to another version than the index.
        """
        with self._writing:
            view = self._view
            if view.version != version:
                raise ValueError(f"the index is at {view.version}, the filter's pictures at {version}")
            self._filters[key] = None
            # A key that is put again is as new as in an index that did not have it.
            self._filters.move_to_end(key)
            gone = self._filters.popitem(last=False)[0] if len(self._filters) > MAX_FILTERS else None
            parts = [matrix.with_filter(key, numbers) for matrix in view.parts]
            if gone is not None:
                parts = [matrix.without_filter(gone) for matrix in parts]
            main, tail, moved = parts
            self._view = replace(view, main=main, tail=tail, moved=moved)

    def apply(self, delta: IndexDelta) -> None:
        """Apply a delta and publish the result as one state."""
        with self._writing:
            view = apply_delta(self._view, delta)
            if needs_merge(view, self._slack):
                view = self._view_of(merge_view(view), view.version)
            self._view = view

    def use_threads(self, threads: ScanThreads) -> None:
        """Use ``threads``, which several indexes may share, from the next search on."""
        with self._writing:
            self._threads = threads
            self._view = replace(self._view, threads=threads)

    @property
    def wants_engines(self) -> bool:
        """Whether ``build_engines`` has work to do, because of new rows or of new searches."""
        view = self._view
        is_due = self._recent.is_due
        return any(self._wants_tables(matrix, is_due=is_due) for matrix in (view.main, view.tail))

    def build_engines(self) -> None:
        """Build hash tables where wanted, and keep those that help; searches and writes continue.

        Tables cover the rows they were built over, deleted or not. Later rows are scanned, until their number
        doubles the matrix and tables are built again. A merge drops the tables. Building them for ten million
        64-bit codes takes about a second.

        Recent searches decide whether tables help, and until there are enough of them, rows as trial queries.
        Each time the number of searches has doubled, they decide again.
        """
        with self._building:
            view = self._view
            is_due = self._recent.is_due
            searches = self._recent.take()
            for matrix, is_main in ((view.main, True), (view.tail, False)):
                if not self._wants_tables(matrix, is_due=is_due):
                    continue
                # A scan of later rows starts at a whole word of the bitmaps.
                rows = matrix.count if is_main else matrix.count // LANE * LANE
                engine = matrix.engine
                if engine is None or matrix.count >= 2 * matrix.hashed:
                    try:
                        engine = build_engine(matrix, self.bits, rows)
                    except MemoryError:
                        # The scan needs no memory beyond the codes.
                        engine = None
                if engine is not None and share_answered(matrix, engine, self.bits, searches) < self._min_use:
                    engine = None
                self._attach(engine, matrix, is_main=is_main, lineage=view.lineage)

    def _wants_tables(self, matrix: CodeMatrix, *, is_due: bool) -> bool:
        least = self._hash_from * (BUCKETS_FROM if self.bits <= MAX_BUCKET_BITS else 1)
        return 0 < least <= matrix.count * self._words and (is_due or matrix.count >= 2 * matrix.hashed)

    def _attach(self, engine: Engine | None, built: CodeMatrix, *, is_main: bool, lineage: object) -> None:
        with self._writing:
            view = self._view
            if view.lineage is not lineage:
                return
            now = replace(view.main if is_main else view.tail, engine=engine, hashed=built.count)
            self._view = replace(view, main=now) if is_main else replace(view, tail=now)
