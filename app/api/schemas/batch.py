"""Schemas of ``POST /search/batch``."""

from typing import Any, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from app.api.schemas.common import Schema, shown_as
from app.api.schemas.images import ItemError
from app.api.schemas.search import (
    FILTER_SCHEMA,
    MAX_LIMIT,
    MAX_TEXT,
    SEARCH_EXAMPLE,
    SearchCutoff,
    SearchedIndexShape,
    SearchHit,
    SearchQuery,
)

MAX_QUERIES = 64
MAX_BATCH_HITS = 10_000
"""Results of all queries together; bounds an answer to a few megabytes."""


class BatchQuery(Schema):
    """One query of a batch: ``image_id``, ``text``, or ``code`` with its ``model``."""

    image_id: str | None = Field(None, examples=["sku-88"])
    text: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_TEXT,
        description="What the pictures show, as in ``POST /search/query``; ranked by weighted bits",
        examples=["dog, beach"],
    )
    code: str | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _one_query(self) -> Self:
        given = [one for one in (self.image_id, self.text, self.code) if one is not None]
        if len(given) != 1 or (self.code is None) != (self.model is None):
            raise ValueError("give one of image_id, text, or code and model")
        return self


class BatchRequest(Schema):
    """Queries of one collection with common limits."""

    queries: list[BatchQuery] = Field(min_length=1, max_length=MAX_QUERIES)
    collection: str = "default"
    limit: int = Field(20, ge=1, le=MAX_LIMIT)
    max_distance: int | None = Field(None, ge=0, description="Largest Hamming distance, inclusive")
    min_score: float | None = Field(None, ge=0, le=1)
    rank: Literal["auto", "hamming", "descriptor", "expanded"] = Field(
        "auto", description="As in a single search"
    )
    colour: float = Field(0.0, ge=0, le=1, description="Weight of colours, as for a single search by image_id")
    filter: Any = Field(None, json_schema_extra=FILTER_SCHEMA)
    include_self: bool = Field(True, description="Include a stored picture in its own results")

    @model_validator(mode="after")
    def _bounded_answer(self) -> Self:
        if len(self.queries) * self.limit > MAX_BATCH_HITS:
            raise ValueError(f"the number of queries times limit is at most {MAX_BATCH_HITS}")
        return self


class BatchAnswer(BaseModel):
    """The outcome of one query."""

    query: SearchQuery | None
    ranked_by: Literal["hamming", "asymmetric", "descriptor", "expanded"] | None = Field(
        description="What ordered the results"
    )
    items: list[SearchHit]
    next_cursor: str | None = Field(description="Cursor of the next page, for ``POST /search``")
    cutoff: SearchCutoff | None
    error: ItemError | None = Field(description="Why this query failed; the others are answered")


BATCH_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {name: SEARCH_EXAMPLE[name] for name in ("query", "ranked_by", "items", "next_cursor", "cutoff")}
        | {"error": None},
        {
            "query": None,
            "ranked_by": None,
            "items": [],
            "next_cursor": None,
            "cutoff": None,
            "error": {
                "code": "unknown_image",
                "detail": "there is no picture 'sku-0' in collection 'default'",
            },
        },
    ],
    "index": SEARCH_EXAMPLE["index"],
    "took_ms": {"lookup": 1.9, "scan": 4.4, "total": 6.3},
}


class BatchResponse(BaseModel):
    """An outcome for each query, in the order of the request."""

    model_config = shown_as(BATCH_EXAMPLE)

    items: list[BatchAnswer]
    index: SearchedIndexShape
    took_ms: dict[str, float]
