"""Re-ranking: the nearest pictures by Hamming distance, ordered anew by what says more than bits."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.index.asymmetric import asymmetric_order
from app.index.collection_index import IndexView, Neighbours
from app.services.searching.paging import Page, PageRequest
from app.services.searching.queries import Query

CANDIDATES: Final = 200
"""Pictures that are re-ranked, or as many as the first page holds: an answer of this kind ends with them."""

_DIGITS: Final = 9
"""Decimals of a rank distance, coarser than what another order of summation changes: pages must agree."""


def candidates_for(request: PageRequest) -> int:
    """How many pictures are re-ranked: the same number for each page of a search."""
    return max(CANDIDATES, request.limit) if request.after is None else request.after.candidates


def candidates_of(view: IndexView, query: Query, request: PageRequest) -> Neighbours:
    """The pictures that are re-ranked: the nearest, whichever of them earlier pages gave out."""
    count = candidates_for(request)
    found = query.ranking.search(
        view, min(count + len(query.exclude), view.count), request.radius, request.filter_key
    )
    keep = np.flatnonzero(~np.isin(found.numbers, query.exclude))[:count]
    return Neighbours(found.numbers[keep], found.distances[keep])


def by_outputs(view: IndexView, found: Neighbours, y: NDArray[np.float32]) -> NDArray[np.float64]:
    """The asymmetric distance of each picture found, shape (n,)."""
    numbers, distances = asymmetric_order(view, found.numbers, y)
    order = np.argsort(numbers)
    return np.round(distances[order][np.searchsorted(numbers[order], found.numbers)], _DIGITS)


def by_descriptors(
    found: Neighbours, stored: dict[int, bytes], descriptor: NDArray[np.int8]
) -> NDArray[np.float64]:
    """1 - cosine of the descriptors, shape (n,); 2, the greatest there can be, for a picture without one."""
    distances = np.full(len(found.numbers), 2.0)
    has_one = np.array([int(number) in stored for number in found.numbers], np.bool_)
    if has_one.any():
        octets = b"".join(stored[int(number)] for number in found.numbers[has_one])
        others = np.frombuffer(octets, np.int8).reshape(-1, len(descriptor))
        distances[has_one] = cosine_distances(others, descriptor)
    return distances


def cosine_distances(descriptors: NDArray[np.int8], other: NDArray[np.int8]) -> NDArray[np.float64]:
    """1 - cosine of each of some descriptors (n, m) and one other (m,), shape (n,)."""
    # Sums of integers are exact in any order, so that a distance does not depend on its neighbours.
    many, one = descriptors.astype(np.int64), other.astype(np.int64)
    norms = np.sqrt((many**2).sum(axis=1) * float((one**2).sum()))
    cosines: NDArray[np.float64] = (many @ one) / np.maximum(norms, 1.0)
    return np.round(1.0 - cosines, _DIGITS)


def reranked_page(found: Neighbours, rank_distances: NDArray[np.float64], request: PageRequest) -> Page:
    """The next pictures behind the cursor, ordered by (rank distance, number)."""
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
