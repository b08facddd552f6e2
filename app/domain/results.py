"""Results of a search and their order: by Hamming distance, then by insertion number."""

from dataclasses import dataclass
from typing import Any

from app.domain.filters import Filter


def score_of(distance: int, bits: int) -> float:
    """1 - distance / bits: 1.0 for equal codes, about 0.5 for unrelated ones."""
    return 1.0 - distance / bits


def radius_for(min_score: float, bits: int) -> int:
    """The largest distance whose score is at least ``min_score``; negative where there is none."""
    radius = int((1.0 - min_score) * bits) + 1
    while radius >= 0 and score_of(radius, bits) < min_score:
        radius -= 1
    return min(radius, bits)


@dataclass(frozen=True, slots=True)
class Hit:
    """One picture found."""

    rank: int
    number: int
    """Insertion number, which orders equal distances."""
    image_id: str
    distance: int
    score: float
    exact: bool
    """Whether its file is the query's, byte for byte."""
    uri: str | None
    has_bytes: bool
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Where the answer ends among equals."""

    distance: int
    returned: int
    """Pictures at that distance in this answer and the pages before it."""
    total: int
    """Pictures at that distance in the collection, under the same filter."""


@dataclass(frozen=True, slots=True)
class QueryInfo:
    """What was searched with."""

    code: str
    """Hex of the little-endian bytes."""
    bits: int
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    image_id: str | None = None


@dataclass(frozen=True, slots=True)
class SearchedIndex:
    """What was searched."""

    collection: str
    model: str
    index_version: int
    searched: int
    """Pictures compared: the collection's, under the filter."""
    indexed: int
    pending: int
    failed: int


@dataclass(frozen=True, slots=True)
class SearchCursor:
    """Everything that the next page needs."""

    collection: str
    model_digest: str
    code: str
    filter_document: dict[str, Any] | None
    limit: int
    radius: int | None
    distance: int
    """Distance of the last picture given out."""
    number: int
    """Its insertion number."""
    given: int
    """Pictures given out so far: a hint of how deep to look."""
    given_at_distance: int
    """Of these, those at ``distance``."""
    exclude: int | None
    """Insertion number of the picture that is itself the query and is left out."""
    sha256: str | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """An answer to a search."""

    query: QueryInfo
    hits: tuple[Hit, ...]
    exact_matches: tuple[str, ...]
    next_cursor: SearchCursor | None
    cutoff: Cutoff | None
    index: SearchedIndex
    took_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """How much of the ranking is asked for."""

    limit: int = 20
    max_distance: int | None = None
    min_score: float | None = None
    filter: Filter | None = None
    filter_document: dict[str, Any] | None = None
