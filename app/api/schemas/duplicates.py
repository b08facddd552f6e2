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


class CopyRuleShape(BaseModel):
    """The rule for copies that was applied, and its error rate."""

    max_hash_distance: int = Field(
        description="Largest distance of the perceptual hashes, in any orientation, of a pair that descriptors "
        "must confirm"
    )
    sure_hash_distance: int = Field(description="Distance of the hashes that suffices without descriptors")
    descriptor_base: float = Field(
        description="Descriptors confirm a pair up to descriptor_base - descriptor_slope × hash distance"
    )
    descriptor_slope: float = Field(description="Strictness for each bit between the hashes")
    sure_descriptor_distance: float = Field(description="Distance of descriptors that suffices without hashes")
    expected_false_pairs: float = Field(
        description="Expected number of wrong pairs in this collection, if it is like the photographs that the "
        "rule was measured on"
    )
    meaning: str = Field(description="The same in words")


class DuplicateGroupShape(BaseModel):
    """Copies of one picture, or pictures connected by chains of near pairs, oldest first."""

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
            "max_distance": None,
            "max_descriptor_distance": None,
            "rule": {
                "max_hash_distance": 88,
                "sure_hash_distance": 32,
                "descriptor_base": 0.28,
                "descriptor_slope": 0.0025,
                "sure_descriptor_distance": 0.06,
                "expected_false_pairs": 4.0,
                "meaning": "Expect about 4 wrong pairs among the 499,500 pairs of 1,000 pictures, "
                "if they are like the photographs that the rule was measured on.",
            },
            "pending": 0,
            "groups": 1,
            "images": 2,
            "collection": "default",
            "index_version": 4183,
        }
    )

    items: list[DuplicateGroupShape]
    next_cursor: str | None
    max_distance: int | None = Field(
        description="Largest distance of the codes of a near pair; null if the rule for copies was applied"
    )
    max_descriptor_distance: float | None = Field(
        description="Largest distance of the descriptors of a near pair; null if only codes were compared, or "
        "the rule for copies was applied"
    )
    rule: CopyRuleShape | None = Field(
        description="The rule for copies; null if bounds were given, or the collection is too large for it"
    )
    pending: int = Field(
        description="Pictures added by an earlier version whose perceptual hash a job has yet to compute. "
        "Until then, the rule for copies finds only those with equal files"
    )
    groups: int = Field(description="Total number of groups")
    images: int = Field(description="Total number of pictures in groups")
    collection: str
    index_version: int
