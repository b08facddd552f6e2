"""Results of a search and their order: by Hamming distance, then by insertion number."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.domain.filters import Filter


class Rank(StrEnum):
    """What found pictures are ordered by."""

    HAMMING = "hamming"
    """Differing bits."""
    ASYMMETRIC = "asymmetric"
    """Differing bits, each as heavy as the query's encoder is sure of it."""
    DESCRIPTOR = "descriptor"
    """Cosine of the descriptors."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How distances become scores: 1 at the least distance there can be, 0 at the greatest."""

    least: int
    greatest: int

    def score_of(self, distance: int) -> float:
        """1 - (distance - least) / (greatest - least)."""
        return 1.0 - (distance - self.least) / (self.greatest - self.least)

    def radius_for(self, min_score: float) -> int:
        """The largest distance whose score is at least ``min_score``; below ``least`` where there is none."""
        radius = self.least + int((1.0 - min_score) * (self.greatest - self.least)) + 1
        while radius >= self.least and self.score_of(radius) < min_score:
            radius -= 1
        return min(radius, self.greatest)


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
    rank_distance: float | None = None
    """What the order is by, where that is not ``distance``."""
    orientation: int | None = None
    """How the query had to be turned to be this near, as EXIF numbers it; None where one only was tried."""


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Where the answer ends among equals."""

    distance: int
    returned: int
    """Pictures at that distance in this answer and the pages before it."""
    total: int
    """Pictures at that distance in the collection, under the same filter."""


@dataclass(frozen=True, slots=True)
class Example:
    """A stored picture to be near to, or far from."""

    image_id: str
    is_wanted: bool = True


@dataclass(frozen=True, slots=True)
class QueryInfo:
    """What was searched with."""

    bits: int
    code: str | None = None
    """Hex of the little-endian bytes; None where there are several."""
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    image_id: str | None = None
    examples: tuple[Example, ...] = ()


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
    codes: list[str]
    """Hex of each code to be near to: of one picture in its orientations, or of the wanted examples."""
    unwanted: list[str]
    """Hex of each code to be far from."""
    are_examples: bool
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
    exclude: list[int]
    """Insertion numbers of the pictures that are themselves the query and are left out."""
    sha256: str | None
    rank: str = Rank.HAMMING
    weights: str | None = None
    """Base64 of what the query is re-ranked by."""
    candidates: int = 0
    """Pictures that are re-ranked."""
    rank_distance: float = 0.0
    """``rank_distance`` of the last picture given out."""


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
    rank: Rank = Rank.HAMMING
    filter: Filter | None = None
    filter_document: dict[str, Any] | None = None
