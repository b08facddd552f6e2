"""Schemas of collections."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import Schema, shown_as
from app.domain.calibration import Likeness

COLLECTION_EXAMPLE: Final[dict[str, Any]] = {
    "name": "shop",
    "model": "lite2-256",
    "bits": 256,
    "images": 60000,
    "keeps": "copies",
    "index": "local",
    "can_be_reencoded": True,
    "previous_model": None,
    "next_model": None,
    "description": "everything we sell",
    "created_at": "2026-11-24T21:30:00Z",
    "updated_at": "2026-11-24T21:30:00Z",
}


class CollectionCreate(Schema):
    """A collection to create."""

    name: str = Field(examples=["shop"])
    model: str | None = Field(None, description="The service's default model if absent")
    keeps: Literal["copies", "references"] = Field(
        "copies",
        description="copies stores the pictures; references stores only codes and uris, so pictures are not "
        "shown and can be re-encoded only if their uris can be read",
    )
    index: Literal["local", "clickhouse"] = Field(
        "local",
        description="local searches the codes in the memory of each process; clickhouse searches them on the "
        "server that the settings name, without rank asymmetric or groups of duplicates",
    )
    description: str | None = Field(None, max_length=1000)


class CollectionPatch(Schema):
    """Fields of a collection to change."""

    description: str | None = Field(None, max_length=1000, examples=["everything we sell"])


class CollectionShape(BaseModel):
    """A collection."""

    model_config = shown_as(COLLECTION_EXAMPLE)

    name: str
    model: str
    bits: int
    images: int
    keeps: str
    index: str = Field(description="local or clickhouse: where its codes are searched")
    can_be_reencoded: bool = Field(
        description="Whether its pictures can be re-encoded: they are stored, or their uris can be read"
    )
    previous_model: str | None = Field(description="The model to which a rollback returns")
    next_model: str | None = Field(description="The model it is being re-encoded under")
    description: str | None
    created_at: datetime
    updated_at: datetime


class CollectionList(BaseModel):
    """Collections ordered by name."""

    model_config = shown_as({"items": [COLLECTION_EXAMPLE], "next_cursor": None})

    items: list[CollectionShape]
    next_cursor: str | None


class CollectionStatsShape(BaseModel):
    """Size of a collection."""

    model_config = shown_as(
        {
            "name": "shop",
            "images": 60000,
            "bits": 256,
            "index_bytes": 2400000,
            "stored_bytes": 5052780000,
            "index_version": 4183,
        }
    )

    name: str
    images: int
    bits: int
    index_bytes: int = Field(description="Memory of its index in this process, in bytes")
    stored_bytes: int = Field(description="Total size of its files, in bytes")
    index_version: int


class LikenessBound(BaseModel):
    """The meaning of distances up to a bound."""

    likeness: Likeness
    max_distance: int = Field(description="Inclusive upper bound; entries are ordered from near to far")
    max_score: float = Field(description="1 - the smallest distance of this entry / bits")
    meaning: str


class DuplicateBoundsShape(BaseModel):
    """What counts as duplicates: the defaults of `GET /duplicates`; a pair must satisfy both."""

    max_distance: int = Field(
        description="Largest distance of the codes: three quarters of the measured edited copies are within "
        "it, half if the model has no descriptors"
    )
    max_descriptor_distance: float | None = Field(
        description="Largest distance of the descriptors; null if the model has none"
    )


class CalibrationShape(BaseModel):
    """What distances mean under a collection's model."""

    model_config = shown_as(
        {
            "collection": "shop",
            "model": "lite2-256",
            "bits": 256,
            "measured_on": "caltech101",
            "likeness": [
                {
                    "likeness": "copy",
                    "max_distance": 21,
                    "max_score": 1.0,
                    "meaning": "most likely one picture, edited",
                }
            ],
            "duplicates": {"max_distance": 38, "max_descriptor_distance": 0.15},
            "quantiles": {"copies": {"1": 1.0, "50": 24.0, "99": 87.0}},
            "copies_by_edit": {"jpeg_q30": {"1": 3.0, "50": 23.0, "99": 59.0}},
        }
    )

    collection: str
    model: str
    bits: int
    measured_on: str | None = Field(description="The pictures that the model was measured on; None for none")
    likeness: list[LikenessBound] = Field(description="The bounds of each word, nearest first")
    duplicates: DuplicateBoundsShape | None = Field(
        description="What counts as duplicates; null if not measured"
    )
    quantiles: dict[str, dict[int, float]] = Field(
        description="For edited copies, pictures of one kind and unrelated ones: distances by percent of pairs"
    )
    copies_by_edit: dict[str, dict[int, float]] = Field(description="The same for each edit")


class MetadataKeyShape(BaseModel):
    """A metadata key and values that pictures have under it."""

    key: str = Field(description="For a value in nested objects, its dotted path")
    values: list[str | bool | int | float] = Field(description="The first 100 distinct values")
    has_more: bool = Field(description="Whether there are further values")
    min: int | float | None = Field(description="The smallest number; null if there is none")
    max: int | float | None


class MetadataKeyList(BaseModel):
    """Metadata keys in alphabetical order."""

    model_config = shown_as(
        {
            "collection": "shop",
            "items": [
                {"key": "brand", "values": ["acme", "best"], "has_more": False, "min": None, "max": None},
                {"key": "year", "values": [2023, 2024], "has_more": False, "min": 2023, "max": 2024},
            ],
        }
    )

    collection: str
    items: list[MetadataKeyShape] = Field(description="The first 100 keys")


class LearnedWordShape(BaseModel):
    """A word learned from the metadata of pictures."""

    word: str = Field(description="In lower case, with single spaces")
    pictures: int = Field(description="Pictures with the word, from which it was learned")
    precision_at_10: float = Field(
        description="Share of right pictures among the first ten, or among as many as carry the word; "
        "cross-validated"
    )
    average_precision: float = Field(description="Average precision of the whole ranking; cross-validated")
    uses_names: bool = Field(description="Whether the word's class weights were the starting point")
    is_offered: bool = Field(description="Whether searches and suggestions use it")


class LearnedWordList(BaseModel):
    """Learned words, those with most pictures first; at most 2,000."""

    model_config = shown_as(
        {
            "collection": "flowers",
            "model": "lite2-256",
            "items": [
                {
                    "word": "sunflower",
                    "pictures": 85,
                    "precision_at_10": 0.96,
                    "average_precision": 0.91,
                    "uses_names": False,
                    "is_offered": True,
                }
            ],
        }
    )

    collection: str
    model: str = Field(description="The collection's active model, whose codes the words were learned from")
    items: list[LearnedWordShape]


class DistancesShape(BaseModel):
    """The number of pictures at each distance from a code."""

    model_config = shown_as({"collection": "shop", "counts": [1, 0, 3, 8], "measured": 12, "total": 12})

    collection: str
    counts: list[int] = Field(description="Pictures at distance 0, 1, … bits")
    measured: int = Field(
        description="Number of pictures measured; an even sample if there are more than a million"
    )
    total: int = Field(description="Pictures that a search would consider")
