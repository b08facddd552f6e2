"""One page of a ranking: its pictures, the ties at its end, and the next page."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.results import Cutoff, SearchCursor
from app.index.collection_index import IndexView, Neighbours
from app.services.searching.queries import Query

TIES_AHEAD: Final = 64
"""Extra results to fetch beyond a page, so that counting its last ties rarely needs a second scan."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a ranking."""

    numbers: NDArray[np.int64]
    distances: NDArray[np.int64]
    more: bool
    ties: int | None
    """Number of pictures at the last distance; None if the order is not by distance."""
    rank_distances: NDArray[np.float64] | None = None
    """Values that order the page, if not ``distances``."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The part of a ranking to return."""

    limit: int
    radius: int | None
    filter_key: str | None
    after: SearchCursor | None = None


def page_of(view: IndexView, query: Query, request: PageRequest, found: Neighbours | None = None) -> Page:
    """Return the pictures after the cursor, exact whatever was added or deleted since.

    Search again to the depth of all earlier pages and skip them. If pictures were added among them, double the
    depth until the page is full or the collection ends.

    Args:
        view: View of the index.
        query: The query.
        request: The part of the ranking to return.
        found: The first ``first_depth(query, request)`` pictures, if they are known already.
    """
    depth = first_depth(query, request)
    while True:
        if found is None:
            found = query.by_codes.search(view, min(depth, view.count), request.radius, request.filter_key)
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
    """Return the initial search depth."""
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
    """Count the pictures at the last of a page's ``distances``."""
    if not len(distances):
        return 0
    last = int(distances[-1])
    if is_all or found.distances[-1] > last:
        return int(np.count_nonzero((found.distances == last) & ~np.isin(found.numbers, query.exclude)))
    _, codes = view.codes_of(query.exclude, filter_key=filter_key)
    excluded = int(np.count_nonzero(query.by_codes.distances_to(codes) == last)) if len(codes) else 0
    return query.by_codes.count_at(view, last, filter_key) - excluded


def cutoff_of(page: Page, after: SearchCursor | None) -> Cutoff | None:
    """Return the ties at the page's end; None for an empty page or an order other than by distance."""
    if not len(page.distances) or page.ties is None:
        return None
    returned = returned_at_last(page, after)
    # Pictures of an earlier page may have been deleted, so the total is at least the number returned.
    return Cutoff(distance=int(page.distances[-1]), returned=returned, total=max(page.ties, returned))


def returned_at_last(page: Page, after: SearchCursor | None) -> int:
    """Count the returned pictures at the page's last distance, earlier pages included."""
    last = int(page.distances[-1])
    earlier = after.given_at_distance if after is not None and after.distance == last else 0
    return earlier + int(np.count_nonzero(page.distances == last))
