"""Order the candidates of a search, and return a page of them."""

from dataclasses import replace

import numpy as np

from app.domain.ranks import Rank
from app.index.collection_index import Neighbours
from app.index.port import View
from app.services.searching.answers import PreparedSearch
from app.services.searching.paging import Page, PageRequest
from app.services.searching.perceptual_matches import numbers_of, with_match_values, without_matches
from app.services.searching.queries import Query
from app.services.searching.reranking import (
    CandidateRows,
    Candidates,
    by_codes,
    by_colours,
    by_descriptors,
    by_expansion,
    candidates_of,
    diversified_order,
    expanded_order,
    nearest_variant,
    order_of,
    reranked_page,
)


def is_reranked(prepared: PreparedSearch) -> bool:
    """Return whether the next page starts among re-ranked candidates."""
    after, query = prepared.request.after, prepared.query
    is_fine = query.descriptors is not None or query.colours is not None or bool(prepared.limits.diversify)
    if query.ranked_by is Rank.ASYMMETRIC or not is_fine:
        return False
    return after is None or after.rank_distance is not None


def candidates_with_matches(
    view: View, query: Query, request: PageRequest, found: Neighbours | None = None
) -> Candidates:
    """Return the candidates and the perceptual matches of a query.

    Args:
        view: View of the index.
        query: The query, with its matches.
        request: The part of the ranking to return.
        found: As in ``candidates_of``; then of more pictures, by the number of matches.
    """
    candidates = candidates_of(view, without_matches(query), request, found)
    if not query.matches:
        return candidates
    numbers, codes = view.codes_of(np.sort(numbers_of(query)), filter_key=request.filter_key)
    distances = query.by_codes.distances_to(codes)
    if request.radius is not None:
        numbers, distances = numbers[distances <= request.radius], distances[distances <= request.radius]
    return candidates.followed_by(Neighbours(numbers, distances.astype(np.int32)))


def fine_page(prepared: PreparedSearch, candidates: Candidates, stored: CandidateRows) -> Page:
    """Return the next page of the candidates, and of the pictures after them.

    Args:
        prepared: The search.
        candidates: Its candidates.
        stored: Their descriptors and colour signatures, as far as the query needs them.
    """
    view, query, request, limits = prepared.view, prepared.query, prepared.request, prepared.limits
    found, descriptors = candidates.found, None
    if query.descriptors is None:
        distances = by_codes(found, view.bits)
    else:
        descriptors = stored.descriptors_of(found.numbers)
        compare = by_expansion if query.ranked_by is Rank.EXPANDED else by_descriptors
        distances = compare(descriptors, query.descriptors)
    colours = None if query.colours is None else by_colours(found.numbers, stored.colours, query.colours)
    fine = nearest_variant(distances, colours, limits.colour)
    if query.matches and not limits.diversify:
        # Copies of the query are what a diverse page should not begin with.
        fine = replace(fine, values=with_match_values(query, found.numbers, fine.values, fine.colours))
    if limits.diversify:
        returned, count = list(query.returned), request.limit + 1
        order = diversified_order(
            view, found, fine, descriptors, returned, weight=limits.diversify, count=count
        )
    elif query.ranked_by is Rank.EXPANDED:
        order = expanded_order(found, fine, query.returned)
    else:
        order = order_of(found, fine, request.after)
    continues = limits.rank is not Rank.DESCRIPTOR
    return reranked_page(view, without_matches(query), request, candidates, fine, order, continues=continues)
