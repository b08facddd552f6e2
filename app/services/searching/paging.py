"""One page of a ranking: its pictures, the ties at its end, and the next page."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.results import Boundary, Cutoff, PagePosition
from app.index.collection_index import Neighbours
from app.index.matrix import Position
from app.index.port import View
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
    """Number of pictures at the last distance; None if the last picture is not ordered by distance."""
    returned_ties: int = 0
    """Number of these that were returned, on earlier pages too."""
    rank_distances: NDArray[np.float64] | None = None
    """Values that order the page, if not ``distances``; fewer if the last pictures are ordered by distance."""
    variants: NDArray[np.int64] | None = None
    """Index of the query's variant that matched, for each of ``rank_distances``; None if there is one."""
    colour_distances: NDArray[np.float64] | None = None
    """Distances of the colour signatures, for each of ``rank_distances``, NaN where one is missing; None if
    colours do not count."""
    boundary: Boundary | None = None
    """The last candidate, if there were candidates for re-ranking."""
    matched: int | None = None
    """Number of its first pictures whose metadata match; None if metadata were not looked at."""
    is_rest: bool = False
    """Whether the next page continues with pictures whose metadata do not match."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The part of a ranking to return."""

    limit: int
    radius: int | None
    filter_key: str | None
    after: PagePosition | None = None
    boundary: Boundary | None = None
    """The last candidate of the first page, if candidates are re-ranked and ``after`` is given."""


def page_of(view: View, query: Query, request: PageRequest, found: Neighbours | None = None) -> Page:
    """Return the pictures after the cursor, exact even if pictures were added or deleted since.

    Args:
        view: View of the index.
        query: The query.
        request: The part of the ranking to return.
        found: The next ``depth_of(query, request)`` pictures, if they are known already.
    """
    depth, after = depth_of(query, request), request.after
    if found is None:
        position = None if after is None else Position(after.distance, after.number, after.given)
        found = query.by_codes.search(
            view, min(depth, view.count), request.radius, request.filter_key, position
        )
    keep = query.keeps(found.numbers)
    numbers, distances = found.numbers[keep], found.distances[keep].astype(np.int64)
    more = len(numbers) > request.limit
    numbers, distances = numbers[: request.limit], distances[: request.limit]
    ties = _ties(view, query, request, found, distances, is_all=len(found.numbers) < depth)
    return Page(numbers, distances, more, ties, _returned_at_last(distances, after))


def depth_of(query: Query, request: PageRequest) -> int:
    """Return how many pictures after the cursor to search for."""
    return request.limit + 1 + len(query.exclude) + TIES_AHEAD


def _ties(
    view: View,
    query: Query,
    request: PageRequest,
    found: Neighbours,
    distances: NDArray[np.int64],
    *,
    is_all: bool,
) -> int:
    """Count the pictures at the last of a page's ``distances``, those of earlier pages included."""
    if not len(distances):
        return 0
    last = int(distances[-1])
    has_earlier = request.after is not None and request.after.distance == last
    has_all_later = is_all or found.distances[-1] > last
    if has_all_later and not has_earlier:
        return int(np.count_nonzero(found.distances[query.keeps(found.numbers)] == last))
    _, codes = view.codes_of(query.exclude, filter_key=request.filter_key)
    excluded = int(np.count_nonzero(query.by_codes.distances_to(codes) == last)) if len(codes) else 0
    if has_all_later and found.passed is not None:
        return found.passed + int(np.count_nonzero(found.distances == last)) - excluded
    return query.by_codes.count_at(view, last, request.filter_key) - excluded


def cutoff_of(page: Page) -> Cutoff | None:
    """Return the ties at the page's end; None for an empty page or an order other than by distance."""
    if not len(page.distances) or page.ties is None:
        return None
    # Pictures of an earlier page may have been deleted, so the total is at least the number returned.
    total = max(page.ties, page.returned_ties)
    return Cutoff(distance=int(page.distances[-1]), returned=page.returned_ties, total=total)


def _returned_at_last(distances: NDArray[np.int64], after: PagePosition | None) -> int:
    """Count the pictures at the last of a page's ``distances`` that were returned, earlier pages included."""
    if not len(distances):
        return 0
    last = int(distances[-1])
    earlier = after.given_at_distance if after is not None and after.distance == last else 0
    return earlier + int(np.count_nonzero(distances == last))
