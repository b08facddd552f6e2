"""Answers of searches and comparisons."""

from lookalike_client.answers.base import Answer, Metadata
from lookalike_client.inputs import Example


class TextMeaning(Answer, frozen=True, kw_only=True):
    """How a phrase of a text was understood."""

    phrase: str
    """The phrase."""
    sign: str
    """``-`` for an unwanted phrase, else ``+``."""
    word: str
    """The known word in the phrase."""
    label: str | None = None
    """A more general word, which selects this meaning in brackets; None for tags."""
    synset: str | None = None
    """Offset in WordNet 3.0, and the part of speech; None for tags."""
    relation: str
    """kinds: the classes are the thing or kinds of it; kind_of: the thing is a kind of the class; related: the
    thing is no class, these are its nearest relatives; tags: learned from the collection's metadata;
    text_tower: the model's text tower encoded the phrase as a whole.
    """
    source: str = "names"
    """What understood the phrase: ``names``, ``tags`` or ``text tower``."""
    ignored: str | None = None
    """Words of the phrase without influence, such as "red" in "red car"."""
    classes: tuple[str, ...]
    """Classes that stand for it, each with the same weight; 200 at most."""
    other_meanings: tuple[str, ...]
    """Phrases that select another meaning."""
    pictures: int | None = None
    """For tags: pictures from which the word was learned."""
    precision_at_10: float | None = None
    """For tags: cross-validated share of right pictures among the first ten."""


class SearchQuery(Answer, frozen=True, kw_only=True):
    """The query as it was understood."""

    code: str | None = None
    """None with examples, and on further pages of several codes."""
    bits: int
    """Length of a code, in bits."""
    sha256: str | None = None
    """SHA-256 of the file, in hex."""
    width: int | None = None
    """Width of the upright picture, in pixels."""
    height: int | None = None
    """Height of the upright picture, in pixels."""
    image_id: str | None = None
    """Id of the stored picture that was the query; None for other queries."""
    images: tuple[Example, ...] | None = None
    """The example pictures that were the query; None for other queries."""
    text: str | None = None
    """The text that was the query; None for other queries."""
    understood_as: tuple[TextMeaning, ...] | None = None
    """How each phrase of a text was understood; None on most further pages."""
    confidence: float | None = None
    """With a text of one word: the share of right pictures to expect among the first ten, where there are
    enough; None if that was not measured.
    """


class Region(Answer, frozen=True, kw_only=True):
    """A rectangle of the upright query picture, in fractions of its width and height."""

    x: float
    """Left edge."""
    y: float
    """Top edge."""
    width: float
    """Width, 1 for all of the picture's."""
    height: float
    """Height, 1 for all of the picture's."""


class SearchHit(Answer, frozen=True, kw_only=True):
    """One result."""

    rank: int
    """Place among the results, from 1."""
    id: str
    """The id."""
    distance: int
    """Hamming distance between the codes; with examples see ``images``."""
    score: float
    """1 - distance / bits; with examples see ``images``."""
    rank_distance: float | None = None
    """Value that orders the results: for asymmetric the sum of |y| over the differing bits, for descriptor 1
    - cosine similarity; None for results ordered by distance.
    """
    likeness: str | None = None
    """With a picture as the query: exact, copy (by the rule for copies), similar, unclear or unrelated."""
    colour_distance: float | None = None
    """With colour: how far the colours are from the query's, 0 to 1; None without."""
    in_metadata: bool | None = None
    """With ``where``: whether the metadata contain the words of the text."""
    orientation: int | None = None
    """With orientations: how the query was turned to match, as an EXIF number (1 unchanged, 2 mirrored, 3 by
    180°, 6 and 8 by 90°).
    """
    region: Region | None = None
    """With regions: the part of the query that matched; None without."""
    exact: bool
    """Whether the file equals the query's, byte for byte."""
    uri: str | None = None
    """Where the original is, as the client stated it."""
    thumbnail_url: str | None = None
    """URL of a thumbnail; None if the collection keeps references only."""
    content_url: str | None = None
    """URL of the original file; None if the collection keeps references only, or for keys without originals."""
    metadata: Metadata
    """JSON object that belongs to the picture."""


class SearchCutoff(Answer, frozen=True, kw_only=True):
    """Ties at the last returned distance, some of which the limit may have cut.

    None for an empty answer, and where the last result is ordered by something other than the distance.
    """

    distance: int
    """Hamming distance."""
    returned: int
    """Pictures at that distance that were returned."""
    total: int
    """Pictures at that distance in the collection."""


class Coverage(Answer, frozen=True, kw_only=True):
    """Pictures that can be found, that wait for a code, and that could not be encoded."""

    indexed: int
    """Pictures that searches find."""
    pending: int
    """Pictures that have no code yet."""
    failed: int
    """Pictures that could not be encoded."""


class SearchedIndex(Answer, frozen=True, kw_only=True):
    """The index that was searched."""

    collection: str
    """Name of the collection."""
    model: str
    """Name of the model."""
    index_version: int
    """Change number of the index; increases with every write."""
    searched: int
    """Pictures that the search compared."""
    coverage: Coverage
    """Coverage of the collection's pictures by the index."""


class SearchResponse(Answer, frozen=True, kw_only=True):
    """Results of a search."""

    query: SearchQuery
    """The query as it was understood; None if it failed."""
    ranked_by: str
    """What ordered the results: hamming, asymmetric or descriptor; for descriptor, those after the candidates
    follow by distance.
    """
    exact_matches: tuple[str, ...]
    """Ids of pictures whose files equal the query's, byte for byte."""
    items: tuple[SearchHit, ...]
    """The nearest pictures."""
    next_cursor: str | None = None
    """Cursor of the next page; None on the last."""
    cutoff: SearchCutoff | None = None
    """Ties at the last returned distance; None if there are none to report."""
    index: SearchedIndex
    """The index that was searched."""
    took_ms: dict[str, float]
    """Duration of each stage, in milliseconds."""


class Suggestion(Answer, frozen=True, kw_only=True):
    """A word suggested for a picture."""

    word: str
    """A learned word, or the name of a class that the model's encoder knows."""
    source: str
    """tags: learned from the collection's metadata; names: from the encoder's classes."""
    share: float
    """names: estimated share of the class among all; tags: estimated share of such pictures that carry the
    word. 0 to 1.
    """
    general: tuple[str, ...]
    """More general words, nearest first; empty for tags."""


class SuggestionList(Answer, frozen=True, kw_only=True):
    """Words suggested for a picture: tags, best first, then names, best first."""

    items: tuple[Suggestion, ...]
    """The words."""


class ItemError(Answer, frozen=True, kw_only=True):
    """Why one picture was not added."""

    code: str
    """Stable code of the error."""
    detail: str
    """The reason, in a sentence."""


class BatchAnswer(Answer, frozen=True, kw_only=True):
    """The outcome of one query."""

    query: SearchQuery | None = None
    """The query as it was understood; None if it failed."""
    ranked_by: str | None = None
    """What ordered the results: hamming, asymmetric or descriptor; None if the query failed."""
    items: tuple[SearchHit, ...]
    """The nearest pictures."""
    next_cursor: str | None = None
    """Cursor of the next page, for ``POST /search``."""
    cutoff: SearchCutoff | None = None
    """Ties at the last returned distance; None if there are none to report."""
    error: ItemError | None = None
    """Why this query failed; the others are answered."""


class BatchResponse(Answer, frozen=True, kw_only=True):
    """An outcome for each query, in the order of the request."""

    items: tuple[BatchAnswer, ...]
    """The entries of this page, or the outcomes in the order of the request."""
    index: SearchedIndex
    """The index that was searched."""
    took_ms: dict[str, float]
    """Duration of each stage, in milliseconds."""


class CompareResponse(Answer, frozen=True, kw_only=True):
    """How two pictures relate."""

    model: str
    """Name of the model."""
    bits: int
    """Length of a code, in bits."""
    codes: tuple[str, ...]
    """The codes of both pictures, as hex of their little-endian bytes."""
    distance: int
    """Hamming distance between the codes."""
    score: float
    """1 - distance / bits."""
    exact: bool
    """Whether the files are equal, byte for byte."""
    descriptor_distance: float | None = None
    """1 - cosine similarity of the descriptors; None where a picture has none."""
    likeness: str | None = None
    """exact: the same file; copy: most likely an edited copy; similar: most likely the same kind; unclear:
    possibly by chance; unrelated. See ``/collections/{name}/calibration``; None where the model has no
    calibration or a picture is blank.
    """
    blank: tuple[bool, ...]
    """For each picture, whether it is nearly uniform, so that its distances mean nothing."""
    shares_within: dict[str, float] | None = None
    """Share of pairs within this distance: of edited copies, of pictures of one kind, of unrelated pictures;
    None where likeness is.
    """
    took_ms: dict[str, float]
    """Duration of each stage, in milliseconds."""


class DuplicateImage(Answer, frozen=True, kw_only=True):
    """A picture in a group."""

    id: str
    """Id of the picture."""
    distance: int
    """Distance to the first picture of the group."""
    exact: bool
    """Whether its file equals the first picture's, byte for byte."""
    uri: str | None = None
    """Where the original is, as the client stated it."""
    thumbnail_url: str | None = None
    """URL of a thumbnail; None if the collection keeps references only."""
    content_url: str | None = None
    """URL of the original file; None if the collection keeps references only, or for keys without originals."""
    width: int
    """Width of the upright picture, in pixels."""
    height: int
    """Height of the upright picture, in pixels."""
    size_bytes: int
    """Size of the original file, in bytes."""
    metadata: Metadata
    """JSON object that belongs to the picture."""


class DuplicateGroup(Answer, frozen=True, kw_only=True):
    """Pictures connected by chains of near pairs, oldest first."""

    size: int
    """Number of pictures in the group."""
    images: tuple[DuplicateImage, ...]
    """The first 50 at most."""


class CopyRule(Answer, frozen=True, kw_only=True):
    """The rule for copies that was applied, and its error rate."""

    max_hash_distance: int
    """Largest distance of the perceptual hashes of a pair that descriptors must confirm."""
    sure_hash_distance: int
    """Distance of the hashes that suffices."""
    descriptor_base: float
    """Descriptors confirm a pair up to ``descriptor_base - descriptor_slope * hash distance``."""
    descriptor_slope: float
    sure_descriptor_distance: float
    """Distance of descriptors that suffices."""
    expected_false_pairs: float
    """About how many pairs of the collection are taken for copies wrongly."""
    meaning: str
    """The same in words."""


class DifferentChanged(Answer, frozen=True, kw_only=True):
    """The number of pairs that changed."""

    pairs: int


class DifferentList(Answer, frozen=True, kw_only=True):
    """Pairs of pictures that were marked as different."""

    items: tuple[tuple[str, str], ...]
    """The ids of both pictures, the older one first."""
    next_cursor: str | None = None
    """Cursor of the next page; None on the last."""


class DuplicatesResponse(Answer, frozen=True, kw_only=True):
    """Groups ordered by their oldest picture."""

    items: tuple[DuplicateGroup, ...]
    """The entries of this page, or the outcomes in the order of the request."""
    next_cursor: str | None = None
    """Cursor of the next page; None on the last."""
    max_distance: int | None = None
    """Largest distance of the codes of a near pair; None if the rule for copies was applied."""
    max_descriptor_distance: float | None = None
    """Largest distance of the descriptors of a near pair, if they were compared with a fixed bound."""
    rule: CopyRule | None = None
    """The rule for copies; None if bounds were given, or the collection is too large for it."""
    pending: int = 0
    """Pictures of an earlier version whose perceptual hash a job has still to compute."""
    groups: int
    """Total number of groups."""
    images: int
    """Total number of pictures in groups."""
    collection: str
    """Name of the collection."""
    index_version: int
    """Change number of the index; increases with every write."""
