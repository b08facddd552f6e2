"""Schemas of ``GET /duplicates``."""

from typing import Any, Final

from pydantic import BaseModel, Field

from app.api.schemas.common import Metadata, shown_as

_IMAGE_EXAMPLE: Final[dict[str, Any]] = {
    "id": "sku-88",
    "distance": 0,
    "exact": True,
    "uri": "shop/88.jpg",
    "thumbnail_url": "/images/sku-88/thumbnail?size=256",
    "content_url": "/images/sku-88/content",
    "width": 640,
    "height": 480,
    "size_bytes": 84213,
    "metadata": {"brand": "acme"},
}


class DuplicateImageShape(BaseModel):
    """A picture in a group."""

    id: str
    distance: int = Field(description="Distance to the first picture of the group")
    exact: bool = Field(description="Whether its file equals the first picture's, byte for byte")
    uri: str | None
    thumbnail_url: str | None
    content_url: str | None
    width: int
    height: int
    size_bytes: int
    metadata: Metadata


class DuplicateGroupShape(BaseModel):
    """Pictures connected by chains of near pairs, oldest first."""

    size: int
    images: list[DuplicateImageShape] = Field(description="The first 50 at most")


class DuplicatesResponse(BaseModel):
    """Groups ordered by their oldest picture."""

    model_config = shown_as(
        {
            "items": [
                {
                    "size": 2,
                    "images": [
                        _IMAGE_EXAMPLE,
                        _IMAGE_EXAMPLE
                        | {
                            "id": "sku-90",
                            "distance": 7,
                            "exact": False,
                            "uri": None,
                            "thumbnail_url": None,
                            "content_url": None,
                        },
                    ],
                }
            ],
            "next_cursor": None,
            "max_distance": 38,
            "max_descriptor_distance": 0.15,
            "groups": 1,
            "images": 2,
            "collection": "default",
            "index_version": 4183,
        }
    )

    items: list[DuplicateGroupShape]
    next_cursor: str | None
    max_distance: int = Field(description="Largest distance of a near pair")
    max_descriptor_distance: float | None = Field(
        description="Largest distance of the descriptors of a near pair; null if only codes were compared"
    )
    groups: int = Field(description="Total number of groups")
    images: int = Field(description="Total number of pictures in groups")
    collection: str
    index_version: int
