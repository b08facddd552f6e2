"""Apply changes from the feed to an index view, and decide when to merge its matrices."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from app.index.matrix import CodeMatrix, Codes, Numbers, merge_rows
from app.index.view import IndexView

SLACK: Final = 4_096
"""Up to this many deleted, replaced or added rows never cause a merge."""
MAX_DEAD_SHARE: Final = 1 / 4
"""A scan reads deleted rows too, so this bounds its loss of speed."""
MAX_MOVED_SHARE: Final = 1 / 64
"""Each replacement copies all pictures replaced before it."""
MAX_TAIL_SHARE: Final = 1 / 2


@dataclass(frozen=True, slots=True)
class IndexDelta:
    """The changes of one stretch of the feed; applying them a second time has no effect."""

    version: int
    """Change number of the index afterwards."""
    put_numbers: Numbers
    """New or replaced pictures, ascending, shape (p,)."""
    put_codes: Codes
    """Their codes, shape (p, words)."""
    deleted_numbers: Numbers
    """Deleted pictures, disjoint from ``put_numbers``."""
    touched_numbers: Numbers
    """All pictures whose code or metadata changed."""
    filter_matches: Mapping[str, Numbers] = field(default_factory=dict)
    """For each kept filter, the touched pictures that it now allows."""


def apply_delta(view: IndexView, delta: IndexDelta) -> IndexView:
    """Return the view after the changes."""
    main, tail, moved = view.parts
    is_new = delta.put_numbers > _last_number(view)
    replaced = delta.put_numbers[~is_new]
    gone = np.concatenate([replaced, delta.deleted_numbers])
    main = main.delete(main.rows_of(gone))
    # Rows are deleted before new ones are appended; after that the tail's bitmaps may change in place.
    tail = tail.delete(tail.rows_of(gone))
    tail = tail.append(delta.put_numbers[is_new], delta.put_codes[is_new])
    moved = moved.delete(moved.rows_of(gone))
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
    """Merge newly replaced pictures into ``moved``; every filter excludes them until ``refilter``."""
    words = len(moved.columns)
    fresh = CodeMatrix.of(numbers, codes)
    parts = [(moved, moved.alive_rows()), (fresh, fresh.alive_rows())]
    return merge_rows(parts, words, moved.filters)


def needs_merge(view: IndexView, slack: int) -> bool:
    """Whether enough rows were deleted, replaced or added for a merge to speed up searches."""
    rows = view.main.count + view.tail.count
    dead = rows - view.main.alive - view.tail.alive
    return (
        dead > max(slack, MAX_DEAD_SHARE * rows)
        or view.moved.count > max(slack, MAX_MOVED_SHARE * rows)
        or view.tail.count > max(16 * slack, MAX_TAIL_SHARE * view.main.count)
    )


def merge_view(view: IndexView) -> CodeMatrix:
    """Merge the three matrices into one, without deleted rows and with replaced pictures in order."""
    parts = [(matrix, matrix.alive_rows()) for matrix in view.parts]
    return merge_rows(parts, len(view.main.columns), view.main.filters)
