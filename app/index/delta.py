"""What a stretch of the change feed does to an index, and when its matrices are merged anew."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from app.index.matrix import CodeMatrix, Codes, Numbers, merged
from app.index.view import IndexView

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


def applied(view: IndexView, delta: IndexDelta) -> IndexView:
    """The view after a delta."""
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


def is_ragged(view: IndexView, slack: int) -> bool:
    """Whether so many rows were deleted, replaced or added that searches gain by a merge."""
    rows = view.main.count + view.tail.count
    dead = rows - view.main.alive - view.tail.alive
    return (
        dead > max(slack, MAX_DEAD_SHARE * rows)
        or view.moved.count > max(slack, MAX_MOVED_SHARE * rows)
        or view.tail.count > max(16 * slack, MAX_TAIL_SHARE * view.main.count)
    )


def compacted(view: IndexView) -> CodeMatrix:
    """The same pictures in one matrix, without deleted rows, replaced ones back in their places."""
    parts = [(matrix, matrix.alive_rows()) for matrix in view.parts]
    return merged(parts, len(view.main.columns), view.main.filters)
