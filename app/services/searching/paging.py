"""One page of a ranking: its pictures, where it ends among equals, and the cursor that leads on."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.results import Cutoff, SearchCursor
from app.index.collection_index import IndexView, Neighbours
from app.services.searching.queries import Query

TIES_AHEAD: Final = 64
"""Pictures looked up beyond a page: mostly its last ties are among them, and need no second scan."""


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a ranking that one answer holds."""

    numbers: NDArray[np.int64]
    distances: NDArray[np.int64]
    more: bool
    ties: int | None
    """Pictures at the last distance, given out or not; None where the order is by something else."""
    rank_distances: NDArray[np.float64] | None = None
    """What the order is by, where that is not ``distances``."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a ranking is wanted."""

    limit: int
    radius: int | None
    filter_key: str | None
    after: SearchCursor | None = None


def page_of(view: IndexView, query: Query, request: PageRequest, found: Neighbours | None = None) -> Page:
    """The next pictures behind the cursor, exact whatever was added or deleted since.

    As many as were given out before are looked up again and passed over; where pictures came in among them,
    the look goes deeper until the page is full or the collection ends.

    Args:
        view: What to search.
        query: What to rank by.
        request: The part of the ranking to return.
        found: The first ``first_depth(query, request)`` pictures, where they have been searched already.
    """
    depth = first_depth(query, request)
    while True:
        if found is None:
            found = query.ranking.search(view, min(depth, view.count), request.radius, request.filter_key)
        numbers, distances = found.numbers, found.distances.astype(np.int64)
        keep = ~np.isin(numbers, query.exclude)
        after = request.after
        if after is not None:
            passed = (distances < after.distance) | ((distances == after.distance) & (numbers <= after.number))
            keep &= ~passed
        if len(numbers) < depth or np.count_nonzero(keep) > request.limit:
            numbers, distances = numbers[keep], distances[keep]
            more = len(numbers) > request.limit
            numbers, distances = numbers[: request.limit], distances[: request.limit]
            ties = _ties(view, query, found, distances, request.filter_key, is_all=len(found.numbers) < depth)
            return Page(numbers, distances, more, ties)
        depth, found = depth * 2, None


def first_depth(query: Query, request: PageRequest) -> int:
    """How many pictures to look up at first."""
    given = 0 if request.after is None else request.after.given
    return request.limit + 1 + given + len(query.exclude) + TIES_AHEAD


def _ties(
    view: IndexView,
    query: Query,
    found: Neighbours,
    distances: NDArray[np.int64],
    filter_key: str | None,
    *,
    is_all: bool,
) -> int:
    """How many pictures lie at the last of a page's ``distances``, among all or among those ``found``."""
    if not len(distances):
        return 0
    last = int(distances[-1])
    if is_all or found.distances[-1] > last:
        return int(np.count_nonzero((found.distances == last) & ~np.isin(found.numbers, query.exclude)))
    _, codes = view.codes_of(query.exclude, filter_key=filter_key)
    excluded = int(np.count_nonzero(query.ranking.distances_to(codes) == last)) if len(codes) else 0
    return query.ranking.count_at(view, last, filter_key) - excluded


def cutoff_of(page: Page, after: SearchCursor | None) -> Cutoff | None:
    """Where the page ends among equals; None for an empty page and where the order is not by distance."""
    if not len(page.distances) or page.ties is None:
        return None
    returned = returned_at_last(page, after)
    # Pictures given out on an earlier page may be gone by now, so the total is at least what was returned.
    return Cutoff(distance=int(page.distances[-1]), returned=returned, total=max(page.ties, returned))


def returned_at_last(page: Page, after: SearchCursor | None) -> int:
    """How many pictures at the page's last distance have been given out, earlier pages included."""
    last = int(page.distances[-1])
    earlier = after.given_at_distance if after is not None and after.distance == last else 0
    return earlier + int(np.count_nonzero(page.distances == last))
