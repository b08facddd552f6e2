"""Pictures whose perceptual hash is near to the query's, which come before all others."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.perceptual import HASH_BITS
from app.index.port import View
from app.services.searching.queries import Query

MATCH_RADIUS: Final = 31
"""Largest distance of two hashes of one picture, of 256 bits; the authors of PDQ recommend it."""
MAX_MATCHES: Final = 32
"""Number of matches that come first, the nearest ones."""
TURNED_UP_TO: Final = 1_000_000
"""Number of hashes up to which turned copies are looked for: seven more hashes take 2 ms for so many."""
TURNED: Final = 32
"""Added to the distances of turned matches, so that they follow the upright ones."""
MATCH_COLOURS: Final = 0.1
"""Largest distance of the colours of a match that comes first where colours count; recoloured copies do not."""
_TIE_SCALE: Final = 4
"""Divides distances by descriptors, at most 2, so that they order only equal hash distances."""


def with_matches(hashes: View, view: View, query: Query, filter_key: str | None) -> Query:
    """Return the query with its perceptual matches.

    Args:
        hashes: View of the collection's perceptual hashes.
        view: View of its codes, perhaps of another moment.
        query: The query; ``hashes`` of it are searched for.
        filter_key: Key of the search's filter.
    """
    if query.hashes is None:
        return query
    key = filter_key if filter_key is not None and hashes.has_filter(filter_key) else None
    count = MAX_MATCHES + len(query.exclude)
    found = hashes.search_nearest_of(query.hashes, count, radius=MATCH_RADIUS, filter_key=key)
    # For so few numbers, sets take a fraction of the time of NumPy's set operations.
    distances = dict(zip(found.numbers.tolist(), found.distances.tolist(), strict=True))
    if query.turned_hashes is not None and hashes.count <= TURNED_UP_TO:
        turned = hashes.search_nearest_of(query.turned_hashes, count, radius=MATCH_RADIUS, filter_key=key)
        for number, distance in zip(turned.numbers.tolist(), turned.distances.tolist(), strict=True):
            distances.setdefault(number, distance + TURNED)
    if not distances:
        return query
    # A picture that was added or deleted just now may be in only one of the indexes.
    numbers, _ = view.codes_of(np.array(sorted(distances), np.int64), filter_key=filter_key)
    kept = set(numbers.tolist()).difference(query.exclude.tolist())
    pairs = [(number, distance) for number, distance in distances.items() if number in kept]
    return replace(query, matches=tuple(pairs[:MAX_MATCHES]))


def without_matches(query: Query) -> Query:
    """Return the query with its matches excluded from the results."""
    if not query.matches:
        return query
    return replace(query, exclude=np.sort(np.concatenate([query.exclude, numbers_of(query)])))


def numbers_of(query: Query) -> NDArray[np.int64]:
    """Return the insertion numbers of the matches, shape (m,)."""
    return np.array([number for number, _ in query.matches], np.int64)


def with_match_values(
    query: Query,
    numbers: NDArray[np.int64],
    values: NDArray[np.float64],
    colours: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Replace the rank distances of the matches by negative ones, from -1 for equal hashes to below -.75.

    They are ordered by hash distance, upright ones first, then by the replaced values: the query's own picture
    comes before others with an equal hash.

    Args:
        query: The query, with its matches.
        numbers: Insertion numbers of the candidates, shape (n,).
        values: Their distances by descriptors, 0 to 2, shape (n,).
        colours: Distances of their colours, shape (n,), NaN where unknown; only matches of the same colours are
            replaced. None if colours do not count.
    """
    first = dict(query.matches)
    replaced = values.copy()
    for i, number in enumerate(numbers.tolist()):
        if number in first and (colours is None or colours[i] <= MATCH_COLOURS):
            replaced[i] = (first[number] + max(values[i], 0.0) / _TIE_SCALE) / HASH_BITS - 1.0
    return replaced
