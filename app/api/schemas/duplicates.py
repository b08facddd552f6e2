"""Shapes of ``GET /duplicates``."""

from typing import Any, Final

from pydantic import BaseModel, Field

from app.api.schemas.common import Metadata, shown_as

_IMAGE_EXAMPLE: Final[dict[str, Any]] = {
    "id": "sku-88",
    "distance": 0,
    "exact": True,
    "uri": "shop/88.jpg",
    "thumbnail_url": "/images/sku-88/thumbnail?size=256",
    "width": 640,
    "height": 480,
    "size_bytes": 84213,
    "metadata": {"brand": "acme"},
}


class DuplicateImageShape(BaseModel):
    """A picture of a group."""

    id: str
    distance: int = Field(description="To the group's first")
    exact: bool = Field(description="Whether its file is the first's, byte for byte")
    uri: str | None
    thumbnail_url: str | None
    width: int
    height: int
    size_bytes: int
    metadata: Metadata


class DuplicateGroupShape(BaseModel):
    """Pictures that chains of near pairs connect, the oldest first."""

    size: int
    images: list[DuplicateImageShape] = Field(description="At most 50 of them")


class DuplicatesResponse(BaseModel):
    """Groups by their oldest picture."""

    model_config = shown_as(
        {
            "items": [
                {
                    "size": 2,
                    "images": [
                        _IMAGE_EXAMPLE,
                        _IMAGE_EXAMPLE
                        | {"id": "sku-90", "distance": 7, "exact": False, "uri": None, "thumbnail_url": None},
                    ],
                }
            ],
            "next_cursor": None,
            "max_distance": 21,
            "groups": 1,
            "images": 2,
            "collection": "default",
            "index_version": 4183,
        }
    )

    items: list[DuplicateGroupShape]
    next_cursor: str | None
    max_distance: int = Field(description="Largest distance of a pair that was looked for")
    groups: int = Field(description="Groups in all")
    images: int = Field(description="Pictures in all groups")
    collection: str
    index_version: int
