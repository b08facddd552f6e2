"""Search results, their limits, and the state that leads to the next page."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.domain.calibration import Likeness
from app.domain.filters import Filter
from app.domain.ranks import Rank, Where
from app.domain.variants import Region


@dataclass(frozen=True, slots=True)
class Scale:
    """Linear mapping from distances to scores: 1 at the least possible distance, 0 at the greatest."""

    least: int
    greatest: int

    def score_of(self, distance: int) -> float:
        """Return 1 - (distance - least) / (greatest - least)."""
        return 1.0 - (distance - self.least) / (self.greatest - self.least)

    def radius_for(self, min_score: float) -> int:
        """Return the largest distance with a score of at least ``min_score``; below ``least`` if none has."""
        radius = self.least + int((1.0 - min_score) * (self.greatest - self.least)) + 1
        while radius >= self.least and self.score_of(radius) < min_score:
            radius -= 1
        return min(radius, self.greatest)


class FoundImage(NamedTuple):
    """The fields of a stored picture in a result; a tuple, since every search makes one for each hit."""

    number: int
    """Insertion number."""
    image_id: str
    sha256: str
    uri: str | None
    has_bytes: bool
    metadata: dict[str, Any]
    width: int
    height: int
    size_bytes: int
    is_blank: bool
    """Whether it is nearly uniform."""


class Hit(NamedTuple):
    """One found picture; a named tuple, since a page of frozen dataclasses takes twice as long to make."""

    rank: int
    number: int
    """Insertion number, which orders equal distances."""
    image_id: str
    distance: int
    score: float
    exact: bool
    """Whether its file is identical to the query file."""
    uri: str | None
    has_bytes: bool
    metadata: dict[str, Any]
    rank_distance: float | None = None
    """Value that orders the hits, unless it is ``distance``."""
    orientation: int | None = None
    """EXIF orientation of the query that matched; None if only one was tried."""
    region: Region | None = None
    """Region of the query that matched; None if only the whole picture was tried."""
    colour_distance: float | None = None
    """1 - cosine of the colour signatures; None if colours have no weight, or it has no signature yet."""
    in_metadata: bool | None = None
    """Whether its metadata contain the words of the query; None if metadata was not searched."""
    likeness: Likeness | None = None
    """Its relation to the query picture; None if the query is not a picture, the model has no calibration, or
    either picture is nearly uniform."""


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Ties at the end of a result page."""

    distance: int
    returned: int
    """Number of pictures at this distance on this page and on earlier ones."""
    total: int
    """Number of pictures at this distance in the collection, with the same filter."""


@dataclass(frozen=True, slots=True)
class Example:
    """A stored picture as a positive or negative example."""

    image_id: str
    is_wanted: bool = True


@dataclass(frozen=True, slots=True)
class TextMeaning:
    """How a phrase of a text query was understood."""

    phrase: str
    is_wanted: bool
    word: str
    """The known word in the phrase; the phrase itself with a text tower."""
    label: str | None
    """A more general word; None for a learned word and with a text tower."""
    synset: str | None
    """None for a learned word and with a text tower."""
    relation: str
    ignored: str | None
    """Words of the phrase without influence: an adjective, or the part too long for a text tower."""
    classes: tuple[str, ...]
    """Names of the classes that stand for it, with equal weights."""
    other_meanings: tuple[str, ...]
    """Phrases that select another meaning."""
    pictures: int | None = None
    """Number of pictures that a word was learned from; None for names."""
    precision_at_10: float | None = None
    """Cross-validated precision of a learned word; None for names."""

    @property
    def source(self) -> str:
        """Source of the meaning: ``tags``, ``text tower``, or ``names`` of classes."""
        return {"tags": "tags", "text_tower": "text tower"}.get(self.relation, "names")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A word suggested for a picture."""

    word: str
    share: float
    """Estimated share of the picture's class probability, or of such pictures that carry the word, 0 to 1."""
    general: tuple[str, ...]
    """More general words, nearest first; empty for a learned word."""
    is_learned: bool = False
    """Whether the word was learned from the collection's metadata."""

    @property
    def source(self) -> str:
        """``tags`` for a learned word, otherwise ``names``."""
        return "tags" if self.is_learned else "names"


@dataclass(frozen=True, slots=True)
class QueryInfo:
    """The query of a search."""

    bits: int
    code: str | None = None
    """Hex of the little-endian bytes; None if there are several codes."""
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    image_id: str | None = None
    examples: tuple[Example, ...] = ()
    text: str | None = None
    understood_as: tuple[TextMeaning, ...] = ()
    confidence: float | None = None
    """Share of right pictures among the first ten to expect of a text query, 0 to 1."""


@dataclass(frozen=True, slots=True)
class SearchedIndex:
    """The index that answered a search."""

    collection: str
    model: str
    index_version: int
    searched: int
    """Number of pictures compared: those of the collection that pass the filter."""
    indexed: int
    pending: int
    failed: int


@dataclass(frozen=True, slots=True)
class PagePosition:
    """The last returned picture of a ranking."""

    distance: int
    number: int
    """Insertion number."""
    given: int
    """Number of pictures returned so far, as a hint of how deep to search."""
    given_at_distance: int
    """Number of these at ``distance``."""
    rank_distance: float | None = None
    """Value that ordered it, if not ``distance``."""
    is_rest: bool = False
    """Whether all pictures whose metadata match were returned."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """The last candidate for re-ranking by (distance, number); the pictures behind it keep that order."""

    distance: int
    number: int


@dataclass(frozen=True, slots=True)
class SearchCursor:
    """State needed to compute the next page."""

    collection: str
    model_digest: str
    codes: list[str]
    """Hex of each positive code: orientations of one picture, or positive examples."""
    unwanted: list[str]
    """Hex of each negative code."""
    are_examples: bool
    filter_document: dict[str, Any] | None
    limit: int
    radius: int | None
    distance: int
    """Distance of the last returned picture."""
    number: int
    """Insertion number of the last returned picture."""
    given: int
    """Number of pictures returned so far, as a hint of how deep to search."""
    given_at_distance: int
    """Number of these at ``distance``."""
    exclude: list[int]
    """Insertion numbers of the query pictures, which are excluded from the results."""
    sha256: str | None
    rank: str = Rank.HAMMING
    """The requested ranking."""
    ranked_by: str | None = None
    """The ranking that was used; None in cursors of older versions, where it equals ``rank``."""
    weights: str | None = None
    """Base64 of the query vectors of an asymmetric or descriptor ranking."""
    variants: list[list[float]] = field(default_factory=list)
    """Orientation and region (x, y, width, height) of each code; empty if there is one."""
    boundary: list[int] | None = None
    """Distance and insertion number of the last candidate for re-ranking."""
    rank_distance: float | None = None
    """``rank_distance`` of the last returned picture; None if it is ordered by ``distance``."""
    matches: list[list[int]] = field(default_factory=list)
    """Insertion number and hash distance of each perceptual match, which come first."""
    diversify: float = 0.0
    colour: float = 0.0
    colours: str | None = None
    """Base64 of the colour signature of each code, if colours have a weight."""
    copy_hashes: str | None = None
    """Base64 of the perceptual hashes that identify copies of the query; None if it is not a picture."""
    copy_descriptors: list[str] = field(default_factory=list)
    """Base64 of each descriptor that identifies copies of the query."""
    is_blank: bool = False
    """Whether the query picture is nearly uniform."""
    returned: list[int] = field(default_factory=list)
    """With ``diversify``: insertion numbers of the candidates returned so far."""
    text: str | None = None
    """The text of the query."""
    text_digest: str | None = None
    """Digest of the ranking if it follows from the text; None if ``codes`` or ``weights`` hold it."""
    where: str = Where.LOOKS
    """Where to look for the words of ``text``."""
    is_rest: bool = False
    """Whether all pictures whose metadata match were returned, and the others follow."""

    @property
    def position(self) -> PagePosition:
        """The last returned picture."""
        return PagePosition(
            self.distance,
            self.number,
            self.given,
            self.given_at_distance,
            self.rank_distance,
            self.is_rest,
        )


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search."""

    query: QueryInfo
    ranked_by: Rank
    """The ranking that was used, never auto."""
    hits: tuple[Hit, ...]
    exact_matches: tuple[str, ...]
    next_cursor: SearchCursor | None
    cutoff: Cutoff | None
    index: SearchedIndex
    took_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """The requested part of the ranking."""

    limit: int = 20
    max_distance: int | None = None
    min_score: float | None = None
    rank: Rank = Rank.AUTO
    diversify: float = 0.0
    """0 orders by relevance alone, 1 by difference from the results before; for candidates only."""
    colour: float = 0.0
    """0 orders without colours, 1 by colours alone; for candidates only."""
    filter: Filter | None = None
    filter_document: dict[str, Any] | None = None
