"""Shapes of collections and models."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import Schema


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

    description: str | None = Field(None, max_length=1000)


class CollectionShape(BaseModel):
    """A collection."""

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

    items: list[CollectionShape]
    next_cursor: str | None


class CollectionStatsShape(BaseModel):
    """What a collection holds and takes."""

    name: str
    images: int
    bits: int
    index_bytes: int = Field(description="Memory of its index in the answering process")
    stored_bytes: int = Field(description="Bytes of its pictures' files")
    index_version: int


class ModelShape(BaseModel):
    """A model that collections may use."""

    name: str
    bits: int
    descriptor_bytes: int
    origin: str
    digest: str
    created_at: datetime


class ModelList(BaseModel):
    """Models by name."""

    items: list[ModelShape]
    next_cursor: None = None


ModelReport = dict[str, Any]
