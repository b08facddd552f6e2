"""One page of a ranking by weighted bits, exact over the whole collection."""

import numpy as np

from app.domain.codes import hamming
from app.index.collection_index import IndexView, Neighbours
from app.index.weighted import search_weighted
from app.services.searching.paging import Page, PageRequest, depth_of
from app.services.searching.queries import Query, WeightedBits


def weighted_page_of(
    view: IndexView,
    query: Query,
    ranking: WeightedBits,
    request: PageRequest,
    found: Neighbours | None = None,
) -> Page:
    """Return the pictures after the cursor, exact even if pictures were added or deleted since.

    ``distances`` of the page are Hamming distances, bounded by ``request.radius``; ``rank_distances`` order it.

    Args:
        view: View of the index.
        query: The query.
        ranking: Its ranking.
        request: The part of the ranking to return.
        found: The first pictures, as many as needed for a page without a cursor, if they are known already.
    """
    weights, after = ranking.weights, request.after
    depth = depth_of(query, request) + (0 if after is None else after.given)
    # Costs are compared as integers, so that rounding of the step cannot skip or repeat a picture.
    last = 0 if after is None else round((after.rank_distance or 0.0) / weights.step)
    while True:
        if found is None:
            (found,) = search_weighted(
                view, [weights], min(depth, view.count), radius=request.radius, filter_key=request.filter_key
            )
        numbers, costs = found.numbers, found.distances
        keep = ~np.isin(numbers, query.exclude)
        if after is not None:
            keep &= (costs > last) | ((costs == last) & (numbers > after.number))
        if len(numbers) < depth or np.count_nonzero(keep) > request.limit:
            break
        depth, found = depth * 2, None
    numbers, costs = numbers[keep], costs[keep]
    more = len(numbers) > request.limit
    numbers, costs = numbers[: request.limit], costs[: request.limit]
    ordered, codes = view.codes_of(np.sort(numbers))
    distances = hamming(codes, weights.code)[np.searchsorted(ordered, numbers)]
    return Page(numbers, distances, more, None, rank_distances=costs.astype(np.float64) * weights.step)
