"""Re-rank the nearest pictures by descriptors; the others follow by Hamming distance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import hamming
from app.domain.expansion import expand
from app.domain.results import Boundary, PagePosition
from app.index.collection_index import Neighbours
from app.index.port import View
from app.services.searching.diversity import diverse_order
from app.services.searching.paging import Page, PageRequest, page_of
from app.services.searching.queries import Query

CANDIDATES: Final = 200
"""Number of candidates to re-rank, or the limit if greater."""

_DIGITS: Final = 9
"""Decimals of a rank distance; rounding hides differences in summation order between pages."""

_DIGITS_OF_MEANS: Final = 6
"""The same for means, which are sums of 32-bit floats."""

_NO_CANDIDATES: Final = Boundary(0, -1)
"""Boundary before all pictures: those added since a first page without candidates follow by distance."""

_EXACT_IN_32_BITS: Final = 1_024
"""Longest descriptor whose sums of products, of at most 2^14 each, 32-bit floats hold exactly."""

_WITHOUT: Final = 2.0
"""Distance, the greatest possible, of pictures without a descriptor."""

_OTHER_COLOURS: Final = 1.0
"""Distance of pictures that have no shade in common, and of those without a colour signature."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """The nearest pictures by code, which a finer measure reorders."""

    found: Neighbours
    """By (distance, number); then pictures that are candidates for another reason."""
    boundary: Boundary
    """The last candidate of the first page."""
    is_all: bool
    """Whether no picture follows them."""
    at_boundary: int
    """Number of pictures up to the boundary that are at its distance."""

    def followed_by(self, more: Neighbours) -> Self:
        """Return these candidates and others, whatever their distance."""
        numbers = np.concatenate([self.found.numbers, more.numbers])
        distances = np.concatenate([self.found.distances, more.distances])
        return replace(self, found=Neighbours(numbers, distances))


@dataclass(frozen=True, slots=True)
class FineDistances:
    """Distances of the candidates from the query, by which they are ordered."""

    values: Floats
    """Shape (n,)."""
    variants: NDArray[np.int64] | None = None
    """Index of the query's nearest variant, shape (n,); None if there is one."""
    colours: Floats | None = None
    """Distances of the colour signatures, shape (n,), NaN where one is missing; None without colours."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """What the database has of the pictures of a query, by insertion number."""

    descriptors: Mapping[int, bytes] = field(default_factory=dict)
    colours: Mapping[int, bytes] = field(default_factory=dict)
    """Colour signatures."""
    hashes: Mapping[int, NDArray[np.uint64]] = field(default_factory=dict)
    """Perceptual hashes, each of shape (words,)."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Stored descriptors of candidates, or their colour signatures, which compare in the same way."""

    rows: NDArray[np.int8]
    """Shape (n, m); zeros where there is none."""
    is_stored: NDArray[np.bool_]
    """Shape (n,)."""

    @classmethod
    def of(cls, numbers: NDArray[np.int64], stored: Mapping[int, bytes], width: int) -> Self:
        """Arrange descriptors of ``width`` bytes by the order of ``numbers``."""
        blank = bytes(width)
        octets = [stored.get(number, blank) for number in numbers.tolist()]
        is_stored = np.array([number in stored for number in numbers.tolist()], np.bool_)
        return cls(np.frombuffer(b"".join(octets), np.int8).reshape(-1, width), is_stored)

    def take(self, places: NDArray[np.int64]) -> Self:
        """Return those at ``places``, shape (p,)."""
        return type(self)(self.rows[places], self.is_stored[places])

    def distances_from(self, descriptor: NDArray[np.int8]) -> Floats:
        """Return 1 - cosine similarity from one descriptor (m,), shape (n,); 2 where none is stored."""
        return np.where(self.is_stored, cosine_distances(self.rows, descriptor), _WITHOUT)


@dataclass(frozen=True, slots=True)
class CandidateRows:
    """What candidates are ordered by."""

    numbers: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Insertion numbers, ascending, shape (n,)."""
    descriptors: Descriptors | None = None
    """Their descriptors; None if no query needs them."""
    colours: Mapping[int, bytes] = field(default_factory=dict)
    """Colour signatures by insertion number."""

    def descriptors_of(self, numbers: NDArray[np.int64]) -> Descriptors:
        """Return the descriptors of some of these pictures, in the order of ``numbers``.

        Raises:
            ValueError: Descriptors were not read.
        """
        if self.descriptors is None:
            raise ValueError("the descriptors of these candidates were not read")
        return self.descriptors.take(np.searchsorted(self.numbers, numbers))


def candidates_depth(query: Query, request: PageRequest) -> int:
    """Return the initial search depth for candidates: one more than them, to see whether a picture follows."""
    given = 0 if request.after is None else request.after.given
    return max(CANDIDATES, request.limit) + given + len(query.exclude) + 1


def candidates_of(
    view: View, query: Query, request: PageRequest, found: Neighbours | None = None
) -> Candidates:
    """Return the candidates: on the first page the nearest pictures, later those within its boundary.

    The boundary of the first page keeps later pages exact: a picture stays on its side of it, even if pictures
    were added or deleted since.

    Args:
        view: View of the index.
        query: The query.
        request: The part of the ranking to return.
        found: The first ``candidates_depth(query, request)`` pictures or more, if they are known already.
    """
    boundary, count = request.boundary, max(CANDIDATES, request.limit)
    depth = candidates_depth(query, request)
    while True:
        if found is None:
            found = query.by_codes.search(view, min(depth, view.count), request.radius, request.filter_key)
        keep = query.keeps(found.numbers)
        numbers, distances = found.numbers[keep], found.distances[keep]
        if boundary is None:
            kept = min(count, len(numbers))
            break
        is_within = (distances < boundary.distance) | (
            (distances == boundary.distance) & (numbers <= boundary.number)
        )
        kept = int(np.count_nonzero(is_within))
        if kept < len(numbers) or len(found.numbers) < depth:
            break
        depth, found = depth * 2, None
    if boundary is None:
        last = kept - 1
        boundary = Boundary(int(distances[last]), int(numbers[last])) if kept else _NO_CANDIDATES
    at_boundary = int(np.count_nonzero(distances[:kept] == boundary.distance))
    found = Neighbours(numbers[:kept], distances[:kept])
    return Candidates(found, boundary, is_all=kept == len(numbers), at_boundary=at_boundary)


def nearest_variant(distances: Floats, colours: Floats | None, weight: float) -> FineDistances:
    """Return the distances from the nearest of a query's variants.

    Args:
        distances: Distances by descriptors or codes, shape (q, n) or, of the nearest variant, (1, n).
        colours: Distances of colour signatures, shape (q, n), NaN where one is missing; None to ignore colours.
        weight: Weight of colours, from 0 to 1.
    """
    if colours is None:
        mixed = distances
    else:
        known = np.where(np.isnan(colours), _OTHER_COLOURS, colours)
        mixed = np.round((1 - weight) * distances + weight * known, _DIGITS)
    nearest = mixed.argmin(axis=0)
    return FineDistances(
        mixed.min(axis=0),
        nearest if len(distances) > 1 else None,
        None if colours is None else np.take_along_axis(colours, nearest[np.newaxis], axis=0)[0],
    )


def by_descriptors(stored: Descriptors, queries: NDArray[np.int8]) -> Floats:
    """Return the distances from each of a query's descriptors (q, m), shape (q, n)."""
    return np.stack([stored.distances_from(query) for query in queries])


def by_expansion(stored: Descriptors, queries: NDArray[np.int8]) -> Floats:
    """Return the means of two distances from each of a query's descriptors (q, m), shape (q, n).

    One is that of the descriptors. For the other, each candidate is averaged with its nearest candidates, and
    each query with its nearest averaged ones (``app.domain.expansion``), which finds more of a kind. Candidates
    with the query's own descriptor stay at 0.

    Args:
        stored: Descriptors of the candidates.
        queries: Descriptors of the query's variants, shape (q, m).
    """
    distances = by_descriptors(stored, queries)
    if not stored.is_stored.any():
        return distances
    expanded, averaged = expand(_unit(queries), _unit(stored.rows))
    between = 1.0 - (expanded @ averaged.T).astype(np.float64)
    means = np.round((distances + between) / 2, _DIGITS_OF_MEANS)
    return np.where(stored.is_stored & (distances > 0), means, distances)


def by_codes(found: Neighbours, bits: int) -> Floats:
    """Return Hamming distances on the scale of descriptors, where unrelated pictures are about 1 apart."""
    return found.distances.astype(np.float64)[np.newaxis] * (2.0 / bits)


def by_colours(numbers: NDArray[np.int64], stored: Mapping[int, bytes], queries: NDArray[np.int8]) -> Floats:
    """Return the distances from each of a query's colour signatures (q, 64), shape (q, n); NaN if missing."""
    colours = Descriptors.of(numbers, stored, queries.shape[1])
    distances = by_descriptors(colours, queries)
    distances[:, ~colours.is_stored] = np.nan
    return distances


def cosine_distances(descriptors: NDArray[np.int8], other: NDArray[np.int8]) -> Floats:
    """Return 1 - cosine similarity between descriptors (n, m) and one other (m,), shape (n,)."""
    # Sums of products of octets are integers that these types hold exactly, so their order does not matter.
    many, one = _exact(descriptors), _exact(other)
    squares, products = np.einsum("ij,ij->i", many, many).astype(np.float64), (many @ one).astype(np.float64)
    cosines: Floats = products / np.maximum(np.sqrt(squares * float(one @ one)), 1.0)
    return np.round(1.0 - cosines, _DIGITS)


def _unit(octets: NDArray[np.int8]) -> NDArray[np.float32]:
    """Scale rows to unit length; rows of zeros stay."""
    rows = octets.astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1.0)
    return unit


def _exact(octets: NDArray[np.int8]) -> NDArray[np.float32] | Floats:
    return octets.astype(np.float32) if octets.shape[-1] <= _EXACT_IN_32_BITS else octets.astype(np.float64)


def reranked_page(
    view: View,
    query: Query,
    request: PageRequest,
    candidates: Candidates,
    fine: FineDistances,
    order: NDArray[np.int64],
    *,
    continues: bool,
) -> Page:
    """Return a page of the candidates, then of the other pictures by Hamming distance.

    Args:
        view: View of the index.
        query: The query.
        request: The part of the ranking to return.
        candidates: The candidates.
        fine: Their distances.
        order: Indices of the candidates that were not returned yet, in order; at least one page of them.
        continues: Whether the other pictures follow the candidates.
    """
    found, boundary = candidates.found, candidates.boundary
    continues = continues and not candidates.is_all
    more, order = len(order) > request.limit, order[: request.limit]
    page = Page(
        found.numbers[order],
        found.distances[order].astype(np.int64),
        more or continues,
        None,
        rank_distances=fine.values[order],
        variants=None if fine.variants is None else fine.variants[order],
        colour_distances=None if fine.colours is None else fine.colours[order],
        boundary=boundary,
    )
    if more or not continues or len(order) == request.limit:
        return page
    after = PagePosition(boundary.distance, boundary.number, len(found.numbers), candidates.at_boundary)
    rest = page_of(view, query, replace(request, limit=request.limit - len(order), after=after, boundary=None))
    return replace(
        page,
        numbers=np.concatenate([page.numbers, rest.numbers]),
        distances=np.concatenate([page.distances, rest.distances]),
        more=rest.more,
        ties=rest.ties if len(rest.numbers) else None,
        returned_ties=rest.returned_ties,
    )


def expanded_order(found: Neighbours, fine: FineDistances, returned: Sequence[int]) -> NDArray[np.int64]:
    """Return the indices of the candidates that were not ``returned`` on earlier pages, by rank distance.

    Values change with the set of candidates, so they do not tell which were returned.
    """
    order = order_of(found, fine, None)
    return order[~np.isin(found.numbers[order], np.array(returned, np.int64))]


def order_of(found: Neighbours, fine: FineDistances, after: PagePosition | None) -> NDArray[np.int64]:
    """Return the indices of the candidates after a position by (rank distance, number)."""
    if after is None or after.rank_distance is None:
        return np.lexsort((found.numbers, fine.values))
    last, number = after.rank_distance, after.number
    kept = np.flatnonzero((fine.values > last) | ((fine.values == last) & (found.numbers > number)))
    return kept[np.lexsort((found.numbers[kept], fine.values[kept]))]


def diversified_order(
    view: View,
    found: Neighbours,
    fine: FineDistances,
    descriptors: Descriptors | None,
    returned: list[int],
    *,
    weight: float,
    count: int,
) -> NDArray[np.int64]:
    """Return the indices of the next candidates, each relevant and different from those before.

    Args:
        view: View of the index.
        found: The candidates.
        fine: Their distances from the query.
        descriptors: Their descriptors; None to compare codes.
        returned: Insertion numbers of the candidates on earlier pages.
        weight: Between 0, relevance alone, and 1, difference alone.
        count: Number of candidates to order.
    """
    if descriptors is None:
        ordered, codes = view.codes_of(np.sort(found.numbers))
        codes = codes[np.searchsorted(ordered, found.numbers)]

        def distances_to(i: int) -> Floats:
            return hamming(codes, codes[i]).astype(np.float64) * (2.0 / view.bits)
    else:

        def distances_to(i: int) -> Floats:
            return descriptors.distances_from(descriptors.rows[i])

    is_returned = np.isin(found.numbers, np.array(returned, np.int64))
    return diverse_order(fine.values, found.numbers, is_returned, distances_to, weight=weight, count=count)
