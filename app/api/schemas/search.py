"""Shapes of ``POST /search`` and its answer."""

from typing import Any, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from app.api.schemas.common import Metadata, Schema
from app.domain.results import Rank

MAX_LIMIT = 1_000
MAX_EXAMPLES = 16


class FilterCondition(Schema):
    """One condition on one metadata key."""

    key: str = Field(examples=["brand"])
    match: str | float | bool | None = Field(None, description="The key's value, or one of its list's")
    range: dict[str, float] | None = Field(None, description="gt, gte, lt, lte", examples=[{"gte": 2020}])


class FilterDocument(Schema):
    """All of ``must`` and none of ``must_not``, decided before pictures are ranked."""

    must: list[FilterCondition] = []
    must_not: list[FilterCondition] = []


FILTER_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A FilterDocument: all of `must` and none of `must_not`",
    "examples": [{"must": [{"key": "brand", "match": "acme"}, {"key": "year", "range": {"gte": 2020}}]}],
}
"""Stands for ``FilterDocument`` where the domain parses the filter itself."""


class CropBox(Schema):
    """A part of the upright picture, in fractions of its width and height."""

    x: float = Field(ge=0, lt=1)
    y: float = Field(ge=0, lt=1)
    width: float = Field(gt=0, le=1)
    height: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _lies_inside(self) -> Self:
        if self.x + self.width > 1 + 1e-9 or self.y + self.height > 1 + 1e-9:
            raise ValueError("the crop reaches beyond the picture")
        return self


class ExampleImage(Schema):
    """A stored picture that results shall be near to, or far from."""

    image_id: str = Field(examples=["sku-88"])
    sign: Literal["+", "-"] = Field("+", description="+: near to it; -: far from it")


RANK_DESCRIPTION = (
    "hamming: by distance. asymmetric (uploads) and descriptor (uploads and image_id, where the model has "
    "descriptors) order the 200 nearest, or as many as `limit` says, anew; the answer ends with them"
)


class SearchRequest(Schema):
    """A search by one of ``image_id``, ``images``, ``code`` (with its ``model``), ``url`` or ``cursor``."""

    image_id: str | None = Field(None, description="A picture of the collection", examples=["sku-88"])
    images: list[ExampleImage] | None = Field(
        None,
        min_length=1,
        max_length=MAX_EXAMPLES,
        description="Examples. `distance` is the sum of the distances to those with + less the sum of those to "
        "those with -, and may be negative; `score` is 1 at the least there can be and 0 at the greatest",
    )
    code: str | None = Field(None, description="Hex of the code's little-endian bytes")
    model: str | None = Field(None, description="The model that gave the code")
    url: str | None = Field(
        None,
        max_length=2_048,
        description="Fetch the query from here: from the hosts that the operator allows, none by default",
    )
    crop: CropBox | None = Field(None, description="With url: the part of the picture to look for")
    orientations: Literal[1, 2, 4, 8] = Field(1, description="With url: as in the form")
    cursor: str | None = Field(None, description="``next_cursor`` of the page before; needs nothing else")
    collection: str = "default"
    limit: int = Field(20, ge=1, le=MAX_LIMIT)
    max_distance: int | None = Field(
        None, description="Largest distance, inclusive; negative only with `images`, whose distances may be"
    )
    min_score: float | None = Field(None, ge=0, le=1)
    rank: Rank = Field(Rank.HAMMING, description=RANK_DESCRIPTION)
    # Parsed by the domain, whose errors point at the part that is wrong.
    filter: Any = Field(None, json_schema_extra=FILTER_SCHEMA)
    include_self: bool = Field(
        True, description="With image_id or images: whether these pictures are in the answer"
    )

    @model_validator(mode="after")
    def _one_query(self) -> Self:
        given = [n for n in ("image_id", "images", "code", "url", "cursor") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of image_id, images, code, url, cursor, or upload a file")
        if (self.code is None) != (self.model is None):
            raise ValueError("code and model go together")
        if self.url is None and (self.crop is not None or self.orientations != 1):
            raise ValueError("crop and orientations need a picture: an upload or a url")
        if self.max_distance is not None and self.max_distance < 0 and self.images is None:
            raise ValueError("max_distance is at least 0")
        return self


class SearchHit(BaseModel):
    """One picture found."""

    rank: int
    id: str
    distance: int = Field(description="Hamming distance between the codes; with examples see `images`")
    score: float = Field(description="1 - distance / bits; with examples see `images`")
    rank_distance: float | None = Field(
        description="What `rank` orders by: for asymmetric the sum of |y| over the differing bits, for "
        "descriptor 1 - cosine; None for hamming"
    )
    orientation: int | None = Field(
        description="With orientations: how the query had to be turned, as EXIF numbers it (1 as it is, 2 "
        "mirrored, 3 by 180°, 6 and 8 by 90°)"
    )
    exact: bool = Field(description="Whether the file is the query's, byte for byte")
    uri: str | None
    thumbnail_url: str | None = Field(description="None where the collection keeps references only")
    metadata: Metadata


class SearchQuery(BaseModel):
    """What was searched with."""

    code: str | None = Field(description="None with examples, and on further pages of several codes")
    bits: int
    sha256: str | None
    width: int | None
    height: int | None
    image_id: str | None
    images: list[ExampleImage] | None


class SearchCutoff(BaseModel):
    """How many pictures lie at the last distance given out: ties that the limit may have cut.

    None for an empty answer, and where ``rank`` orders by something finer.
    """

    distance: int
    returned: int
    total: int


class Coverage(BaseModel):
    """How much of the collection can be found."""

    indexed: int
    pending: int
    failed: int


class SearchedIndexShape(BaseModel):
    """What was searched."""

    collection: str
    model: str
    index_version: int
    searched: int
    coverage: Coverage


class SearchResponse(BaseModel):
    """The answer to a search."""

    query: SearchQuery
    exact_matches: list[str] = Field(description="Ids of pictures with the query's very bytes")
    items: list[SearchHit]
    next_cursor: str | None
    cutoff: SearchCutoff | None
    index: SearchedIndexShape
    took_ms: dict[str, float]


SEARCH_EXAMPLE: dict[str, Any] = {
    "query": {
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "width": 640,
        "height": 480,
        "code": "a3f1c09e5b7d2248",
        "bits": 64,
        "image_id": None,
        "images": None,
    },
    "exact_matches": ["sku-88"],
    "items": [
        {
            "rank": 1,
            "id": "sku-88",
            "distance": 0,
            "score": 1.0,
            "rank_distance": None,
            "orientation": None,
            "exact": True,
            "uri": "shop/88.jpg",
            "thumbnail_url": "/images/sku-88/thumbnail?collection=default&size=256",
            "metadata": {"brand": "acme"},
        }
    ],
    "next_cursor": "eyJhbGciOi",
    "cutoff": {"distance": 7, "returned": 3, "total": 19},
    "index": {
        "collection": "default",
        "model": "lite2-256",
        "index_version": 4182,
        "searched": 60000,
        "coverage": {"indexed": 60000, "pending": 0, "failed": 0},
    },
    "took_ms": {"decode": 3.1, "encode": 7.9, "scan": 0.6, "lookup": 0.4, "total": 12.0},
}
