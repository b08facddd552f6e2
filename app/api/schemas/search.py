"""Schemas of ``POST /search``."""

from typing import Any, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from app.api.schemas.common import Metadata, Schema, shown_as
from app.domain.ranks import Rank, Where
from app.domain.variants import Regions

MAX_LIMIT = 1_000
MAX_EXAMPLES = 16
MAX_TEXT = 200


class FilterCondition(Schema):
    """One condition on one metadata key."""

    key: str = Field(examples=["brand"])
    match: str | float | bool | None = Field(
        None, description="The value under the key, or an element of the list under it"
    )
    range: dict[str, float] | None = Field(None, description="gt, gte, lt, lte", examples=[{"gte": 2020}])


class FilterDocument(Schema):
    """Require all of ``must`` and none of ``must_not``; applied before ranking."""

    must: list[FilterCondition] = []
    must_not: list[FilterCondition] = []


FILTER_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A FilterDocument: all of `must` and none of `must_not`",
    "examples": [{"must": [{"key": "brand", "match": "acme"}, {"key": "year", "range": {"gte": 2020}}]}],
}
"""Schema of a filter that the domain parses itself."""


class CropBox(Schema):
    """A rectangle of the upright picture, in fractions of its width and height."""

    x: float = Field(ge=0, lt=1)
    y: float = Field(ge=0, lt=1)
    width: float = Field(gt=0, le=1)
    height: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _lies_inside(self) -> Self:
        if self.x + self.width > 1 + 1e-9 or self.y + self.height > 1 + 1e-9:
            raise ValueError("the crop extends beyond the picture: x + width and y + height are at most 1")
        return self


class ExampleImage(Schema):
    """A stored picture that results should be near to (+) or far from (-)."""

    image_id: str = Field(examples=["sku-88"])
    sign: Literal["+", "-"] = Field("+", description="+ for near, - for far")


RANK_DESCRIPTION = (
    "auto: asymmetric for text; for uploads and image_id, the nearest 200 (or `limit`, if greater) by "
    "descriptors where the model's descriptors order better than its codes, and the others behind them by "
    "distance; else by distance. `ranked_by` says which. hamming: by distance. asymmetric (uploads and text): "
    "by the weight of the differing bits, over the whole collection. descriptor (uploads and image_id): the "
    "nearest 200 by descriptors, and no others. expanded (uploads and image_id): as auto with descriptors, but "
    "each of the nearest 200 is compared together with its own neighbours among them; finds more of a kind"
)
DIVERSIFY_DESCRIPTION = (
    "With a picture or a code: 0 for the usual order; more, up to 1, prefers results that differ from those "
    "before them, so that a burst of photographs does not fill a page. Reorders the nearest 200, or `limit` if "
    "greater"
)
COLOUR_DESCRIPTION = (
    "With one picture, stored or uploaded: weight of its colours, from 0 (none) to 1 (colours alone). Orders "
    "the nearest 200, or `limit` if greater, by (1 - colour) · distance by descriptors, or by codes on their "
    "scale, + colour · `colour_distance`"
)
REGIONS_DESCRIPTION = (
    "borders, the default under ranks auto and expanded with one orientation: search also with the picture's "
    "content without even borders, if it has any. auto: with windows of it too, for collages and photographs "
    "of screens; it encodes up to 15 pictures instead of one. none: with the whole picture only. The `region` "
    "of a result says which part matched"
)


class SearchRequest(Schema):
    """Search by one of ``image_id``, ``images``, ``text``, ``code`` (with ``model``), ``url`` and ``cursor``.

    ``text`` and ``images`` may be combined: pictures like the examples that show what the text names.
    """

    image_id: str | None = Field(None, description="Id of a stored picture", examples=["sku-88"])
    images: list[ExampleImage] | None = Field(
        None,
        min_length=1,
        max_length=MAX_EXAMPLES,
        description="Examples. `distance` is the sum of distances to + examples minus the sum of distances to "
        "- examples, and may be negative; `score` is 1 at its minimum and 0 at its maximum",
    )
    text: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_TEXT,
        description="What the pictures show, in English nouns: phrases separated by commas; a phrase after - "
        "is unwanted; a word in brackets selects a meaning",
        examples=["dog, beach", "dog -cat", "crane (bird)"],
    )
    where: Where = Field(
        Where.LOOKS,
        description="With text. looks: pictures that show the words. metadata: pictures with every word in the "
        "texts of their metadata. both: these first, then the others by their looks",
    )
    code: str | None = Field(None, description="The code's little-endian bytes in hex")
    model: str | None = Field(None, description="The model that made the code")
    url: str | None = Field(
        None,
        max_length=2_048,
        description="Address to fetch the query picture from; the operator allows hosts, none by default",
    )
    crop: CropBox | None = Field(None, description="With url: the part of the picture to search with")
    orientations: Literal[1, 2, 4, 8] = Field(1, description="With url: number of orientations, as in the form")
    regions: Regions | None = Field(None, description=f"With url: {REGIONS_DESCRIPTION}")
    cursor: str | None = Field(
        None, description="``next_cursor`` of the previous page; no other field is needed"
    )
    collection: str = "default"
    limit: int = Field(20, ge=1, le=MAX_LIMIT)
    max_distance: int | None = Field(
        None, description="Largest distance, inclusive; may be negative with `images`"
    )
    min_score: float | None = Field(None, ge=0, le=1)
    rank: Rank = Field(Rank.AUTO, description=RANK_DESCRIPTION)
    diversify: float = Field(0.0, ge=0, le=1, description=DIVERSIFY_DESCRIPTION)
    colour: float = Field(0.0, ge=0, le=1, description=COLOUR_DESCRIPTION)
    # Parsed by the domain, whose errors point at the part that is wrong.
    filter: Any = Field(None, json_schema_extra=FILTER_SCHEMA)
    include_self: bool = Field(
        True, description="With image_id or images: include these pictures in the results"
    )

    @model_validator(mode="after")
    def _one_query(self) -> Self:
        names = ("image_id", "images", "text", "code", "url", "cursor")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1 and given != ["images", "text"]:
            raise ValueError(
                "give exactly one of image_id, images, text, code, url, cursor, or upload a file; only text "
                "and images go together"
            )
        if (self.code is None) != (self.model is None):
            raise ValueError("code and model go together")
        if self.text is None and self.where is not Where.LOOKS:
            raise ValueError("where needs a text")
        if self.url is None and (self.crop is not None or self.orientations != 1 or self.regions is not None):
            raise ValueError("crop, orientations and regions need a picture: an upload or a url")
        if self.max_distance is not None and self.max_distance < 0 and self.images is None:
            raise ValueError("max_distance is at least 0")
        return self


class RegionShape(BaseModel):
    """A rectangle of the upright query picture, in fractions of its width and height."""

    x: float = Field(description="Left edge")
    y: float = Field(description="Top edge")
    width: float = Field(description="Width, 1 for all of the picture's")
    height: float = Field(description="Height, 1 for all of the picture's")


class SearchHit(BaseModel):
    """One result."""

    rank: int
    id: str
    distance: int = Field(description="Hamming distance between the codes; with examples see `images`")
    score: float = Field(description="1 - distance / bits; with examples see `images`")
    rank_distance: float | None = Field(
        description="Value that orders the results: for asymmetric the sum of |y| over the differing bits, for "
        "descriptor 1 - cosine similarity, with `colour` mixed with `colour_distance`, and below 0 for copies "
        "by their perceptual hash; null for results ordered by distance"
    )
    colour_distance: float | None = Field(
        description="With colour: how far the colours are from the query's, 0 for equal shares of all shades "
        "and 1 for no shade in common; null without, for results ordered by distance, and for a picture whose "
        "colours a job has not computed yet"
    )
    likeness: Literal["exact", "copy", "similar", "unclear", "unrelated"] | None = Field(
        description="With a picture as the query: exact for an equal file, copy if the rule for copies says so "
        "(as in `/duplicates`), otherwise the meaning of the distance under the model's calibration, at most "
        "similar; null for other queries, under a model without a calibration, and if the query or the result "
        "is nearly uniform"
    )
    orientation: int | None = Field(
        description="With orientations: how the query was turned to match, as an EXIF number (1 unchanged, 2 "
        "mirrored, 3 by 180°, 6 and 8 by 90°)"
    )
    in_metadata: bool | None = Field(
        description="With where: whether the metadata contain the words of the text; null without"
    )
    region: RegionShape | None = Field(
        description="The part of the query that matched, if parts were searched with; else null"
    )
    exact: bool = Field(description="Whether the file equals the query's, byte for byte")
    uri: str | None
    thumbnail_url: str | None
    content_url: str | None
    metadata: Metadata


class TextMeaningShape(BaseModel):
    """How a phrase of a text was understood."""

    phrase: str = Field(description="The phrase, as it was read")
    sign: Literal["+", "-"] = Field(description="- for an unwanted phrase")
    word: str = Field(description="The known word in the phrase; with a text tower, the phrase")
    label: str | None = Field(
        description="A more general word, which selects this meaning in brackets; null for tags and text_tower"
    )
    synset: str | None = Field(
        description="Offset in WordNet 3.0, and the part of speech; null for tags and text_tower"
    )
    relation: Literal["kinds", "kind_of", "related", "tags", "text_tower"] = Field(
        description="kinds: the classes are the thing or kinds of it. kind_of: the thing is a kind of the "
        "class. related: the thing is not a class; these are its nearest relatives. tags: the word was learned "
        "from the collection's metadata. text_tower: the model's text tower encoded the phrase as a whole"
    )
    source: Literal["names", "tags", "text tower"] = Field(
        description="Source of the meaning: names of classes, words learned from tags, or the text tower"
    )
    ignored: str | None = Field(
        description='Words of the phrase without influence, such as "red" in "red car", or the end of a '
        "text that is too long for a text tower; null without any"
    )
    classes: list[str] = Field(description="Classes that stand for it, each with the same weight; 200 at most")
    other_meanings: list[str] = Field(description="Phrases that select another meaning")
    pictures: int | None = Field(description="For tags: pictures from which the word was learned")
    precision_at_10: float | None = Field(
        description="For tags: cross-validated share of right pictures among the first ten"
    )


class SearchQuery(BaseModel):
    """The query as it was understood."""

    code: str | None = Field(description="null with examples, and on further pages of several codes")
    bits: int
    sha256: str | None
    width: int | None
    height: int | None
    image_id: str | None
    images: list[ExampleImage] | None
    text: str | None = Field(description="The text that was the query; null for other queries")
    understood_as: list[TextMeaningShape] | None = Field(
        description="How each phrase of a text was understood; null on most further pages"
    )
    confidence: float | None = Field(
        description="For a text of one word: the share of right pictures to expect among the first ten, if "
        "there are that many, as measured for words understood in this way; null if not measured, as for "
        "kind_of, ignored words and several phrases"
    )


class SearchCutoff(BaseModel):
    """Ties at the last returned distance, some of which the limit may have cut.

    Null for an empty answer, and where the last result is ordered by something other than the distance.
    """

    distance: int
    returned: int
    total: int


class Coverage(BaseModel):
    """Pictures that can be found, that wait for a code, and that could not be encoded."""

    indexed: int
    pending: int
    failed: int


class SearchedIndexShape(BaseModel):
    """The index that was searched."""

    collection: str
    model: str
    index_version: int
    searched: int
    coverage: Coverage


class SearchResponse(BaseModel):
    """Results of a search."""

    query: SearchQuery
    ranked_by: Literal["hamming", "asymmetric", "descriptor", "expanded"] = Field(
        description="What ordered the results; for descriptor and expanded, distance orders those after the "
        "candidates"
    )
    exact_matches: list[str] = Field(description="Ids of pictures whose files equal the query's, byte for byte")
    items: list[SearchHit]
    next_cursor: str | None
    cutoff: SearchCutoff | None
    index: SearchedIndexShape
    took_ms: dict[str, float]


class SuggestionShape(BaseModel):
    """A word suggested for a picture."""

    word: str = Field(description="A learned word, or the name of a class that the model's encoder knows")
    source: Literal["tags", "names"] = Field(
        description="tags: learned from the collection's metadata. names: from the encoder's classes"
    )
    share: float = Field(
        description="names: estimated share of the class among all. tags: estimated share of such pictures "
        "that carry the word. 0 to 1"
    )
    general: list[str] = Field(description="More general words, nearest first; empty for tags")


class SuggestionList(BaseModel):
    """Words suggested for a picture: tags, best first, then names, best first."""

    model_config = shown_as(
        {
            "items": [
                {"word": "holiday", "source": "tags", "share": 0.94, "general": []},
                {"word": "beagle", "source": "names", "share": 0.61, "general": ["hound", "dog", "animal"]},
            ]
        }
    )

    items: list[SuggestionShape]


SEARCH_EXAMPLE: dict[str, Any] = {
    "query": {
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "width": 640,
        "height": 480,
        "code": "a3f1c09e5b7d2248",
        "bits": 64,
        "image_id": None,
        "images": None,
        "text": None,
        "understood_as": None,
        "confidence": None,
    },
    "ranked_by": "descriptor",
    "exact_matches": ["sku-88"],
    "items": [
        {
            "rank": 1,
            "id": "sku-88",
            "distance": 0,
            "score": 1.0,
            "rank_distance": 0.0,
            "colour_distance": None,
            "likeness": "exact",
            "orientation": None,
            "in_metadata": None,
            "region": None,
            "exact": True,
            "uri": "shop/88.jpg",
            "thumbnail_url": "/images/sku-88/thumbnail?size=256",
            "content_url": "/images/sku-88/content",
            "metadata": {"brand": "acme"},
        }
    ],
    "next_cursor": "eyJhbGciOi",
    "cutoff": None,
    "index": {
        "collection": "default",
        "model": "lite2-256",
        "index_version": 4182,
        "searched": 60000,
        "coverage": {"indexed": 60000, "pending": 0, "failed": 0},
    },
    "took_ms": {"decode": 3.1, "encode": 7.9, "scan": 0.6, "lookup": 0.4, "total": 12.0},
}
