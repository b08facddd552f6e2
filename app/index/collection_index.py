"""The index of one collection under one model: what services add to, delete from and search."""

import threading
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

import numpy as np

from app.domain.codes import check_bits, words_for
from app.index.buckets import MAX_BITS as MAX_BUCKET_BITS
from app.index.delta import SLACK, IndexDelta, applied, compacted, is_ragged
from app.index.distance_kernels import BLOCK, LANE
from app.index.engine import Engine
from app.index.matrix import CodeMatrix, Codes, Neighbours, Numbers, empty_matrix
from app.index.pairs import groups_within
from app.index.planner import build_engine, use_of
from app.index.scan import ALONE, ScanThreads
from app.index.several import count_nearest_at, search_examples
from app.index.sharing import laid_over
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
    "warm_up",
]

MAX_FILTERS: Final = 64
HASH_FROM: Final = 1 << 21
"""Words of codes below which no tables are built: a scan out of the cache is over as soon as a try of them."""
BUCKETS_FROM: Final = 1 / 8
"""Of that, where codes are so short that each has a bucket."""
MIN_USE: Final = 1 / 2
"""Share of a few trial queries that tables must answer sooner than a scan to be kept."""

MAX_OWN_SHARE: Final = 1 / 8
"""Of the codes, what a process may keep to itself before it takes up a newer snapshot's."""


class CollectionIndex:
    """Codes of one collection under one model: one writer at a time, any number of readers that never wait."""

    def __init__(
        self,
        bits: int,
        *,
        slack: int = SLACK,
        hash_from: int = HASH_FROM,
        min_use: float = MIN_USE,
    ) -> None:
        """An empty index for codes of ``bits`` bits.

        Args:
            bits: Code length.
            slack: So many rows deleted, replaced or added are never a reason to rebuild the matrix.
            hash_from: Words from which ``build_engines`` builds tables, an eighth of it buckets; 0 for never.
            min_use: Share of trial queries that tables must answer to be kept.

        Raises:
            ValueError: No code has that length.
        """
        self.bits = check_bits(bits)
        self._slack = slack
        self._words = words_for(bits)
        self._threads = ALONE
        self._hash_from = hash_from
        self._min_use = min_use
        self.shared_version = -1
        """Change number of the snapshot whose pages hold the codes, or held them before they were merged."""
        self._shared_at = time.monotonic()
        self._writing = threading.Lock()
        self._building = threading.Lock()
        self._filters: OrderedDict[str, None] = OrderedDict()
        self._view = self._view_of(empty_matrix(self._words), 0)

    def _view_of(self, main: CodeMatrix, version: int) -> IndexView:
        tail, moved = (empty_matrix(self._words, main.filters) for _ in range(2))
        return IndexView(self.bits, version, main, tail, moved, self._threads)

    def view(self) -> IndexView:
        """The state published last."""
        return self._view

    def filter_keys(self) -> list[str]:
        """Filters whose rows are kept."""
        return list(self._filters)

    def load(self, numbers: Numbers, codes: Codes, version: int) -> None:
        """Replace everything.

        Args:
            numbers: Insertion numbers, strictly ascending, shape (n,).
            codes: Shape (n, words).
            version: Change number that they stand at.
        """
        with self._writing:
            self._filters.clear()
            self._view = self._view_of(CodeMatrix.of(numbers, codes), version)

    @classmethod
    def open(cls, path: Path, bits: int, owner: str) -> Self:
        """The index that ``save`` wrote; its codes stay in the file, later ones in memory.

        Raises:
            SnapshotForeign: It is of another owner or code length.
            SnapshotRefused: There is none, or it is not whole.
        """
        snapshot = read_snapshot(path, bits=bits, owner=owner)
        index = cls(bits)
        main = CodeMatrix.of_columns(snapshot.numbers, snapshot.columns, is_shared=True)
        index._view = index._view_of(main, snapshot.version)
        index.shared_version = snapshot.version
        return index

    def save(self, path: Path, owner: str) -> int:
        """Write the state published last to a snapshot, while searches and writes go on.

        Args:
            path: File to put in place when it is whole.
            owner: What the codes are of; ``open`` asks for the same.

        Returns:
            The change number that the snapshot stands at.

        Raises:
            OSError: The disk is full, or the folder cannot be written to.
        """
        view = self.view()
        is_settled = view.count == view.main.alive == view.main.count
        matrix = view.main if is_settled else compacted(view)
        write_snapshot(path, Snapshot(self.bits, owner, view.version, matrix.numbers, matrix.columns))
        return view.version

    @property
    def wants_sharing(self) -> bool:
        """Whether so many codes are this process's own that ``share`` saves memory worth the work."""
        view = self._view
        return view.own_rows > max(self._slack, MAX_OWN_SHARE * view.count)

    @property
    def shared_for_s(self) -> float:
        """Seconds since codes were taken from a snapshot last, or since this index was made."""
        return time.monotonic() - self._shared_at

    def share(self, path: Path, owner: str) -> bool:
        """Take codes from the snapshot's pages, which processes share, instead of keeping them; answers stay.

        Searches go on meanwhile, writes wait. Tables are kept where rows stay in place, else built again.

        Returns:
            Whether that was done; not where the snapshot is of a later state than this index.

        Raises:
            SnapshotRefused: There is none, or it is not whole, or of another owner or code length.
        """
        snapshot = read_snapshot(path, bits=self.bits, owner=owner)
        with self._writing:
            if snapshot.version > self._view.version:
                return False
            saved = CodeMatrix.of_columns(snapshot.numbers, snapshot.columns, is_shared=True)
            self._view = laid_over(self._view, saved)
            self.shared_version = snapshot.version
            self._shared_at = time.monotonic()
        return True

    def put_filter(self, key: str, numbers: Numbers, version: int) -> None:
        """Keep the rows that a filter allows; the one kept longest makes room.

        Raises:
            ValueError: The numbers are of another version than the index.
        """
        with self._writing:
            view = self._view
            if view.version != version:
                raise ValueError(f"the index is at {view.version}, the filter's pictures at {version}")
            self._filters[key] = None
            gone = self._filters.popitem(last=False)[0] if len(self._filters) > MAX_FILTERS else None
            parts = [matrix.with_filter(key, numbers) for matrix in view.parts]
            if gone is not None:
                parts = [matrix.without_filter(gone) for matrix in parts]
            main, tail, moved = parts
            self._view = replace(view, main=main, tail=tail, moved=moved)

    def apply(self, delta: IndexDelta) -> None:
        """Publish a delta whole."""
        with self._writing:
            view = applied(self._view, delta)
            if is_ragged(view, self._slack):
                view = self._view_of(compacted(view), view.version)
            self._view = view

    def use_threads(self, threads: ScanThreads) -> None:
        """Have ``threads``, which several indexes may share, scan from the next search on."""
        with self._writing:
            self._threads = threads
            self._view = replace(self._view, threads=threads)

    @property
    def wants_engines(self) -> bool:
        """Whether ``build_engines`` has something to do: much was loaded, merged or added since."""
        view = self._view
        return self._wants_tables(view.main) or self._wants_tables(view.tail)

    def build_engines(self) -> None:
        """Build hash tables where they are wanted, while searches and writes go on; keep those that help.

        Tables know the rows that they were built over, deleted or not; rows added later are scanned, until as
        many came that it is done again. Merging drops them. Ten million 64-bit codes take about a second.
        """
        with self._building:
            view = self._view
            for matrix, is_main in ((view.main, True), (view.tail, False)):
                if not self._wants_tables(matrix):
                    continue
                # A scan of later rows begins with a whole word of the bitmaps.
                rows = matrix.count if is_main else matrix.count // LANE * LANE
                try:
                    engine = build_engine(matrix, self.bits, rows)
                except MemoryError:
                    # The scan needs no memory but the codes'.
                    engine = None
                if engine is not None and use_of(matrix, engine) < self._min_use:
                    engine = None
                self._attach(engine, matrix, is_main=is_main, lineage=view.lineage)

    def _wants_tables(self, matrix: CodeMatrix) -> bool:
        least = self._hash_from * (BUCKETS_FROM if self.bits <= MAX_BUCKET_BITS else 1)
        return 0 < least <= matrix.count * self._words and matrix.count >= 2 * matrix.hashed

    def _attach(self, engine: Engine | None, built: CodeMatrix, *, is_main: bool, lineage: object) -> None:
        with self._writing:
            view = self._view
            if view.lineage is not lineage:
                return
            now = replace(view.main if is_main else view.tail, engine=engine, hashed=built.count)
            self._view = replace(view, main=now) if is_main else replace(view, tail=now)


def warm_up() -> None:
    """Compile every kernel that a search may need, or load it from the cache; all code lengths share them."""
    for bits in (MAX_BUCKET_BITS, 64):
        index = CollectionIndex(bits, hash_from=1, min_use=0)
        index.load(np.arange(BLOCK + 1), np.zeros((BLOCK + 1, 1), np.uint64), 0)
        query = np.zeros(1, np.uint64)
        for _ in ("scanned", "from tables"):
            index.view().search(query, 1)
            index.view().count_at(query, 0)
            index.build_engines()
    groups_within(index.view(), 1)
    search_examples(index.view(), query[None], query[None], 1)
    count_nearest_at(index.view(), np.stack([query, query]), 0)
