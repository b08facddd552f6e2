"""Schemas of pictures: add, list, change, delete."""

from datetime import datetime
from typing import Any, Final, Self

from pydantic import BaseModel, Field, model_validator

from app.api.schemas.common import Metadata, Schema, shown_as
from app.api.schemas.search import FILTER_SCHEMA, SuggestionShape

IMAGE_EXAMPLE: Final[dict[str, Any]] = {
    "id": "sku-88",
    "collection": "default",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "uri": "shop/88.jpg",
    "metadata": {"brand": "acme", "year": 2024},
    "width": 640,
    "height": 480,
    "media_type": "image/jpeg",
    "size_bytes": 84213,
    "thumbnail_url": "/images/sku-88/thumbnail?size=256",
    "content_url": "/images/sku-88/content",
    "revision": 1,
    "created_at": "2026-11-24T21:30:00Z",
    "updated_at": "2026-11-24T21:30:00Z",
}


class Image(BaseModel):
    """A stored picture."""

    model_config = shown_as(IMAGE_EXAMPLE)

    id: str
    collection: str
    sha256: str
    uri: str | None
    metadata: Metadata
    width: int
    height: int
    media_type: str
    size_bytes: int
    thumbnail_url: str | None
    content_url: str | None
    revision: int = Field(description="Increases with each change; also the ETag")
    created_at: datetime
    updated_at: datetime


class ImageList(BaseModel):
    """Pictures in insertion order."""

    model_config = shown_as({"items": [IMAGE_EXAMPLE], "next_cursor": None})

    items: list[Image]
    next_cursor: str | None


class ItemError(BaseModel):
    """Why one picture was not added."""

    code: str
    detail: str


class NearDuplicateShape(BaseModel):
    """A stored picture that a new one is a copy of, with the evidence."""

    id: str
    exact: bool = Field(description="Whether the files are equal, byte for byte")
    hash_distance: int | None = Field(
        description="Smallest distance of the perceptual hashes in any orientation, of 256; null without a hash"
    )
    descriptor_distance: float | None = Field(
        description="1 - cosine similarity of the descriptors; null if a picture has none"
    )


class AddedItem(BaseModel):
    """The outcome of one picture."""

    id: str
    status: str = Field(
        description="created, replaced, unchanged (these bytes are stored under the id), conflict (others are, "
        "and stay), near_duplicate (a copy is stored under another id) or failed"
    )
    error: ItemError | None = Field(None, description="Why it failed, or is a near duplicate or a conflict")
    near_duplicates: list[NearDuplicateShape] | None = Field(
        None,
        description="The pictures that it is a copy of, nearest first; null unless `on_near_duplicate` "
        "was given",
    )
    suggestions: list[SuggestionShape] | None = Field(
        None,
        description="With suggest: up to 5 words for the picture, as ``GET /images/{id}/suggestions`` returns "
        "them; null if it was not stored, or if no words are known for the collection's model",
    )


class AddResponse(BaseModel):
    """The outcome of each picture, in the order of the request."""

    items: list[AddedItem]
    counts: dict[str, int]
    index_version: int


ADD_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {"id": "sku-89", "status": "created", "error": None, "suggestions": None},
        {"id": "sku-88", "status": "unchanged", "error": None, "suggestions": None},
        {
            "id": "x",
            "status": "failed",
            "error": {"code": "not_an_image", "detail": "The bytes are not a picture in a supported format."},
        },
    ],
    "counts": {"created": 1, "unchanged": 1, "failed": 1},
    "index_version": 4183,
}


ADD_ONE_EXAMPLE: Final[dict[str, Any]] = {
    "items": [{"id": "sku-89", "status": "created", "error": None, "suggestions": None}],
    "counts": {"created": 1},
    "index_version": 4183,
}


class ImagePatch(Schema):
    """Fields to change; absent fields stay."""

    metadata: Any = Field(None, description="Replaces all metadata", examples=[{"brand": "acme"}])
    uri: str | None = Field(None, max_length=2048)


class DeleteRequest(Schema):
    """Pictures to delete: by ``ids``, by ``filter``, the ``samples``, or ``all`` of the collection."""

    ids: list[str] | None = Field(None, max_length=10_000)
    filter: Any = Field(None, json_schema_extra=FILTER_SCHEMA, description="With at least one condition")
    all: bool = Field(False, description="Every picture of the collection")
    samples: bool = Field(False, description="The sample gallery's pictures that were not replaced")
    collection: str = "default"
    dry_run: bool = Field(False, description="Report what would be deleted, and delete nothing")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.ids is not None) + (self.filter is not None) + self.samples + self.all != 1:
            raise ValueError("give exactly one of ids, filter, samples: true and all: true")
        return self


class DeleteResponse(BaseModel):
    """Pictures that were deleted, or would be."""

    model_config = shown_as(
        {"count": 2, "ids": ["sku-88", "sku-89"], "missing": [], "dry_run": True, "index_version": 4183}
    )

    count: int
    ids: list[str] = Field(description="The first 1,000 at most")
    missing: list[str] = Field(description="Requested ids that the collection does not contain")
    dry_run: bool
    index_version: int
