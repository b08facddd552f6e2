"""Re-rank the nearest pictures by descriptors."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.index.collection_index import Neighbours
from app.index.port import View
from app.services.searching.paging import Page, PageRequest
from app.services.searching.queries import Query

CANDIDATES: Final = 200
"""Number of candidates to re-rank, or the limit if greater; there are no results after them."""

_DIGITS: Final = 9
"""Decimals of a rank distance; rounding hides differences in summation order between pages."""


def candidates_for(request: PageRequest) -> int:
    """Return the number of candidates, the same for every page of a search."""
    return max(CANDIDATES, request.limit) if request.after is None else request.after.candidates


def candidates_of(view: View, query: Query, request: PageRequest) -> Neighbours:
    """Return the candidates: the nearest pictures, those of earlier pages included."""
    count = candidates_for(request)
    found = query.by_codes.search(
        view, min(count + len(query.exclude), view.count), request.radius, request.filter_key
    )
    keep = np.flatnonzero(~np.isin(found.numbers, query.exclude))[:count]
    return Neighbours(found.numbers[keep], found.distances[keep])


def by_descriptors(
    found: Neighbours, stored: dict[int, bytes], descriptor: NDArray[np.int8]
) -> NDArray[np.float64]:
    """Return 1 - cosine similarity, shape (n,); 2, the maximum, for pictures without a descriptor."""
    distances = np.full(len(found.numbers), 2.0)
    has_one = np.array([int(number) in stored for number in found.numbers], np.bool_)
    if has_one.any():
        octets = b"".join(stored[int(number)] for number in found.numbers[has_one])
        others = np.frombuffer(octets, np.int8).reshape(-1, len(descriptor))
        distances[has_one] = cosine_distances(others, descriptor)
    return distances


def cosine_distances(descriptors: NDArray[np.int8], other: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return 1 - cosine similarity between descriptors (n, m) and one other (m,), shape (n,)."""
    # Integer sums are exact in any order, so a distance does not depend on the other rows.
    many, one = descriptors.astype(np.int64), other.astype(np.int64)
    norms = np.sqrt((many**2).sum(axis=1) * float((one**2).sum()))
    cosines: NDArray[np.float64] = (many @ one) / np.maximum(norms, 1.0)
    return np.round(1.0 - cosines, _DIGITS)


def reranked_page(found: Neighbours, rank_distances: NDArray[np.float64], request: PageRequest) -> Page:
    """Return the candidates after the cursor, ordered by (rank distance, number)."""
    keep = np.ones(len(found.numbers), np.bool_)
    if request.after is not None:
        last, number = request.after.rank_distance, request.after.number
        keep = (rank_distances > last) | ((rank_distances == last) & (found.numbers > number))
    order = np.flatnonzero(keep)[np.lexsort((found.numbers[keep], rank_distances[keep]))]
    more = len(order) > request.limit
    order = order[: request.limit]
    return Page(
        found.numbers[order], found.distances[order].astype(np.int64), more, None, rank_distances[order]
    )
