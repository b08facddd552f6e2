"""Replace private arrays by memory-mapped pages that processes share."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.index.bitmap import pack_flags, unpack_flags
from app.index.matrix import CodeMatrix, merge_rows
from app.index.view import IndexView

Rows = NDArray[np.int64]


def rebase_on_snapshot(view: IndexView, saved: CodeMatrix) -> IndexView:
    """Rebase a view on the rows of a snapshot; it finds the same pictures under the same filters.

    A snapshot row is used only if both its number and its code equal a row of the view; all other snapshot rows
    are marked as deleted. Rows of the view that are not in the snapshot stay in the tail or among the replaced
    pictures.

    Args:
        view: The state whose answers are kept.
        saved: Rows of the snapshot, of the same state or an earlier one.
    """
    words, last = len(saved.columns), int(saved.numbers[-1]) if saved.count else -1
    is_gone = np.ones(saved.count, np.bool_)
    left_out = {key: np.ones(saved.count, np.bool_) for key in view.main.filters}
    tail: list[tuple[CodeMatrix, Rows]] = []
    moved: list[tuple[CodeMatrix, Rows]] = []
    for matrix in view.parts:
        rows = matrix.alive_rows()
        places, is_same = _places_in(saved, matrix, rows)
        is_gone[places] = False
        for key, flags in left_out.items():
            flags[places] = unpack_flags(matrix.filters[key], matrix.count)[rows[is_same]]
        own = rows[~is_same]
        is_later = matrix.numbers[own] > last
        tail.append((matrix, own[is_later]))
        moved.append((matrix, own[~is_later]))
    main = replace(
        saved,
        dead=pack_flags(is_gone),
        alive=saved.count - int(np.count_nonzero(is_gone)),
        filters={key: pack_flags(flags) for key, flags in left_out.items()},
    )
    if _has_same_rows(saved, view.main):
        # No row has moved and no code was replaced, so the hash tables remain valid.
        main = replace(main, engine=view.main.engine, hashed=view.main.hashed)
    return replace(
        view,
        main=main,
        tail=merge_rows(tail, words, left_out),
        moved=merge_rows(moved, words, left_out),
        lineage=object(),
    )


def _has_same_rows(saved: CodeMatrix, main: CodeMatrix) -> bool:
    """Return whether all numbers and codes are equal; a replaced code keeps its picture's number."""
    return np.array_equal(saved.numbers, main.numbers[: main.count]) and all(
        np.array_equal(saved_column[: saved.count], column[: main.count])
        for saved_column, column in zip(saved.columns, main.columns, strict=True)
    )


def _places_in(saved: CodeMatrix, matrix: CodeMatrix, rows: Rows) -> tuple[Rows, NDArray[np.bool_]]:
    """Find which of ``rows`` are in ``saved``: their rows there, and a flag for each, shape (len(rows),)."""
    numbers = matrix.numbers[rows]
    places = np.searchsorted(saved.numbers, numbers)
    is_same = places < saved.count
    is_same[is_same] = saved.numbers[places[is_same]] == numbers[is_same]
    for saved_column, column in zip(saved.columns, matrix.columns, strict=True):
        is_same[is_same] = saved_column[places[is_same]] == column[rows[is_same]]
    return places[is_same], is_same
