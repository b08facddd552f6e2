"""Shapes of collections."""

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
    model: str | None = Field(None, description="The service's default model where absent")
    keeps: Literal["copies", "references"] = Field(
        "copies",
        description="references: only codes and uris are kept, so pictures are not shown, and are re-encoded "
        "only where their uris can be read",
    )
    description: str | None = Field(None, max_length=1000)


class CollectionPatch(Schema):
    """What to change of a collection."""

    description: str | None = Field(None, max_length=1000, examples=["everything we sell"])


class CollectionShape(BaseModel):
    """A collection."""

    model_config = shown_as(COLLECTION_EXAMPLE)

    name: str
    model: str
    bits: int
    images: int
    keeps: str
    can_be_reencoded: bool = Field(
        description="Whether another model can encode its pictures: they are kept, or uris may be read here"
    )
    previous_model: str | None = Field(description="Where a rollback leads")
    next_model: str | None = Field(description="What it is being encoded under anew")
    description: str | None
    created_at: datetime
    updated_at: datetime


class CollectionList(BaseModel):
    """Collections by name."""

    model_config = shown_as({"items": [COLLECTION_EXAMPLE], "next_cursor": None})

    items: list[CollectionShape]
    next_cursor: str | None


class CollectionStatsShape(BaseModel):
    """What a collection holds and takes."""

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
    index_bytes: int = Field(description="Memory of its index in the answering process")
    stored_bytes: int = Field(description="Bytes of its pictures' files")
    index_version: int


class LikenessBound(BaseModel):
    """What distances up to a bound mean."""

    likeness: Likeness
    max_distance: int = Field(description="Inclusive; what is nearer than the entry before comes first")
    max_score: float = Field(description="1 - the least distance of this entry / bits")
    meaning: str


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
            "quantiles": {"copies": {"1": 1.0, "50": 24.0, "99": 87.0}},
            "copies_by_edit": {"jpeg_q30": {"1": 3.0, "50": 23.0, "99": 59.0}},
        }
    )

    collection: str
    model: str
    bits: int
    measured_on: str | None = Field(description="The pictures that the model was measured on; None for none")
    likeness: list[LikenessBound] = Field(description="The bounds of each word, nearest first")
    quantiles: dict[str, dict[int, float]] = Field(
        description="For edited copies, pictures of one kind and unrelated ones: distances by percent of pairs"
    )
    copies_by_edit: dict[str, dict[int, float]] = Field(description="The same for each edit")
