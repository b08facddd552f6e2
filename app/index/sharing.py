"""An index's own codes given up for a snapshot's, whose pages all processes of a machine share."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.index.bitmap import packed, unpacked
from app.index.matrix import CodeMatrix, merged
from app.index.view import IndexView

Rows = NDArray[np.int64]


def laid_over(view: IndexView, saved: CodeMatrix) -> IndexView:
    """The same pictures and filters, with every code that ``saved`` holds taken from there.

    Nothing of ``saved`` is believed: only a row of the same number and code is found. All others are as if
    deleted, and what is found nowhere stays in the tail or among the replaced pictures.

    Args:
        view: The state to give the answers of.
        saved: Rows of an earlier state or the same.
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
            flags[places] = unpacked(matrix.filters[key], matrix.count)[rows[is_same]]
        own = rows[~is_same]
        is_later = matrix.numbers[own] > last
        tail.append((matrix, own[is_later]))
        moved.append((matrix, own[~is_later]))
    main = replace(
        saved,
        dead=packed(is_gone),
        alive=saved.count - int(np.count_nonzero(is_gone)),
        filters={key: packed(flags) for key, flags in left_out.items()},
    )
    if np.array_equal(saved.numbers, view.main.numbers[: view.main.count]):
        # Each row is where it was, so that its tables find it.
        main = replace(main, engine=view.main.engine, hashed=view.main.hashed)
    return replace(
        view,
        main=main,
        tail=merged(tail, words, left_out),
        moved=merged(moved, words, left_out),
        lineage=object(),
    )


def _places_in(saved: CodeMatrix, matrix: CodeMatrix, rows: Rows) -> tuple[Rows, NDArray[np.bool_]]:
    """Rows of ``saved`` that equal some of ``rows``, and which of these they equal, shape (len(rows),)."""
    numbers = matrix.numbers[rows]
    places = np.searchsorted(saved.numbers, numbers)
    is_same = places < saved.count
    is_same[is_same] = saved.numbers[places[is_same]] == numbers[is_same]
    for saved_column, column in zip(saved.columns, matrix.columns, strict=True):
        is_same[is_same] = saved_column[places[is_same]] == column[rows[is_same]]
    return places[is_same], is_same
