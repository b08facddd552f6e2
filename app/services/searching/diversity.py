"""Choose results that are relevant and differ from each other (maximal marginal relevance)."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DIGITS: Final = 9
"""Decimals of a score; rounding hides differences between processors."""


def diverse_order(
    values: Floats,
    numbers: NDArray[np.int64],
    is_returned: NDArray[np.bool_],
    distances_to: Callable[[int], Floats],
    *,
    weight: float,
    count: int,
) -> NDArray[np.int64]:
    """Return the next candidates of the greedy order, as indices into ``values``, shape (at most ``count``,).

    Each step takes the candidate with the least ``(1 - weight) * value - weight * distance``, where the
    distance is that to the nearest candidate taken before, on earlier pages too. Ties are ordered by value and
    number.

    Args:
        values: Distances from the query, shape (n,).
        numbers: Insertion numbers, shape (n,).
        is_returned: Whether a candidate was on an earlier page, shape (n,).
        distances_to: Returns the distances from the candidate with an index to all, shape (n,), on the scale
            of ``values``.
        weight: 0 for relevance alone, 1 for difference alone.
        count: Number of candidates to take.
    """
    nearest = np.full(len(values), np.inf)
    for i in np.flatnonzero(is_returned).tolist():
        nearest = np.minimum(nearest, distances_to(i))
    order = np.lexsort((numbers, values))
    order = order[~is_returned[order]]
    taken: list[int] = []
    while len(order) and len(taken) < count:
        gains = np.where(np.isinf(nearest[order]), 0.0, nearest[order])
        scores = np.round((1 - weight) * values[order] - weight * gains, _DIGITS)
        at = int(scores.argmin())
        chosen = int(order[at])
        taken.append(chosen)
        order = np.delete(order, at)
        if len(taken) < count:
            nearest = np.minimum(nearest, distances_to(chosen))
    return np.array(taken, np.int64)
