"""Shapes of collections."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import Schema, shown_as

COLLECTION_EXAMPLE: Final[dict[str, Any]] = {
    "name": "shop",
    "model": "lite2-256",
    "bits": 256,
    "images": 60000,
    "keeps": "copies",
    "description": "everything we sell",
    "created_at": "2026-11-24T21:30:00Z",
    "updated_at": "2026-11-24T21:30:00Z",
}


class CollectionCreate(Schema):
    """A collection to create."""

    name: str = Field(examples=["shop"])
    model: str | None = Field(None, description="The service's default model where absent")
    keeps: Literal["copies", "references"] = Field(
        "copies", description="references: only codes and uris are kept, so it cannot be re-encoded or shown"
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
