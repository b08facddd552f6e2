"""The index of one collection under one model: what services add to, delete from and search."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

import numpy as np

from app.domain.codes import check_bits, words_for
from app.index.kernels import BLOCK
from app.index.matrix import CodeMatrix, Codes, Neighbours, Numbers, empty_matrix, merged
from app.index.pairs import groups_within
from app.index.several import search_examples
from app.index.snapshot import Snapshot, SnapshotRefused, read_snapshot, saved_version, write_snapshot
from app.index.view import IndexView

__all__ = [
    "CollectionIndex",
    "IndexDelta",
    "IndexView",
    "Neighbours",
    "SnapshotRefused",
    "saved_version",
    "warm_up",
]

MAX_FILTERS: Final = 64
SLACK: Final = 4_096
"""So many rows deleted, replaced or added are never a reason to rebuild the matrix."""
MAX_DEAD_SHARE: Final = 1 / 4
"""A scan reads deleted rows too, so this is what it may lose in speed."""
MAX_MOVED_SHARE: Final = 1 / 64
"""Each replacement copies the pictures replaced before it."""
MAX_TAIL_SHARE: Final = 1 / 2


@dataclass(frozen=True, slots=True)
class IndexDelta:
    """What a stretch of the change feed does to an index; applying it twice changes nothing more."""

    version: int
    """Change number that the index stands at afterwards."""
    put_numbers: Numbers
    """Pictures that are new, or replaced; ascending, shape (p,)."""
    put_codes: Codes
    """Their codes, shape (p, words)."""
    deleted_numbers: Numbers
    """Pictures that are gone; none of them is put."""
    touched_numbers: Numbers
    """Every picture whose code or metadata changed."""
    filter_matches: Mapping[str, Numbers] = field(default_factory=dict)
    """For each kept filter, those of ``touched_numbers`` that it allows now."""


class CollectionIndex:
    """Codes of one collection under one model: one writer at a time, any number of readers that never wait."""

    def __init__(self, bits: int, *, slack: int = SLACK) -> None:
        """An empty index for codes of ``bits`` bits.

        Args:
            bits: Code length.
            slack: So many rows deleted, replaced or added are never a reason to rebuild the matrix.

        Raises:
            ValueError: No code has that length.
        """
        self.bits = check_bits(bits)
        self._slack = slack
        self._words = words_for(bits)
        self._writing = threading.Lock()
        self._filters: OrderedDict[str, None] = OrderedDict()
        self._view = self._view_of(empty_matrix(self._words), 0)

    def _view_of(self, main: CodeMatrix, version: int) -> IndexView:
        tail, moved = (empty_matrix(self._words, main.filters) for _ in range(2))
        return IndexView(self.bits, version, main, tail, moved)

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
            SnapshotRefused: There is none, or it is not whole, or of another owner or code length.
        """
        snapshot = read_snapshot(path, bits=bits, owner=owner)
        index = cls(bits)
        main = CodeMatrix.of_columns(snapshot.numbers, snapshot.columns)
        index._view = index._view_of(main, snapshot.version)
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
        matrix = view.main if is_settled else _compacted(view)
        write_snapshot(path, Snapshot(self.bits, owner, view.version, matrix.numbers, matrix.columns))
        return view.version

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
            self._view = IndexView(self.bits, version, *parts)

    def apply(self, delta: IndexDelta) -> None:
        """Publish a delta whole."""
        with self._writing:
            view = _applied(self._view, delta)
            if _is_ragged(view, self._slack):
                view = self._view_of(_compacted(view), view.version)
            self._view = view


def warm_up() -> None:
    """Compile every kernel that a search may need, or load it from the cache; all code lengths share them."""
    index = CollectionIndex(64)
    index.load(np.arange(BLOCK + 1), np.zeros((BLOCK + 1, 1), np.uint64), 0)
    query = np.zeros(1, np.uint64)
    index.view().search(query, 1)
    index.view().count_at(query, 0)
    groups_within(index.view(), 1)
    search_examples(index.view(), query[None], query[None], 1)


def _applied(view: IndexView, delta: IndexDelta) -> IndexView:
    main, tail, moved = view.parts
    is_new = delta.put_numbers > _last_number(view)
    replaced = delta.put_numbers[~is_new]
    gone = np.concatenate([replaced, delta.deleted_numbers])
    main = main.kill(main.rows_of(gone))
    # Killed before rows are added: from then on the bitmaps of the tail may be changed in place.
    tail = tail.kill(tail.rows_of(gone))
    tail = tail.append(delta.put_numbers[is_new], delta.put_codes[is_new])
    moved = moved.kill(moved.rows_of(gone))
    if len(replaced):
        moved = _with_moved(moved, replaced, delta.put_codes[~is_new])
    touched, matches = delta.touched_numbers, delta.filter_matches
    return replace(
        view,
        version=delta.version,
        main=main.refilter(touched, matches, main.count),
        tail=tail.refilter(touched, matches, view.tail.count),
        moved=moved.refilter(touched, matches, moved.count),
    )


def _last_number(view: IndexView) -> int:
    last = view.tail if view.tail.count else view.main
    return int(last.numbers[last.count - 1]) if last.count else -1


def _with_moved(moved: CodeMatrix, numbers: Numbers, codes: Codes) -> CodeMatrix:
    """Replaced pictures and ``numbers`` in one matrix; no filter has let the latter in yet."""
    words = len(moved.columns)
    fresh = CodeMatrix.of(numbers, codes)
    parts = [(moved, moved.alive_rows()), (fresh, fresh.alive_rows())]
    return merged(parts, words, moved.filters)


def _is_ragged(view: IndexView, slack: int) -> bool:
    rows = view.main.count + view.tail.count
    dead = rows - view.main.alive - view.tail.alive
    return (
        dead > max(slack, MAX_DEAD_SHARE * rows)
        or view.moved.count > max(slack, MAX_MOVED_SHARE * rows)
        or view.tail.count > max(16 * slack, MAX_TAIL_SHARE * view.main.count)
    )


def _compacted(view: IndexView) -> CodeMatrix:
    """The same pictures in one matrix, without deleted rows, replaced ones back in their places."""
    parts = [(matrix, matrix.alive_rows()) for matrix in view.parts]
    return merged(parts, len(view.main.columns), view.main.filters)
