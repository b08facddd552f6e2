"""Shapes of the service's own state."""

from pydantic import BaseModel, Field

from app.api.schemas.common import shown_as
from app.images.formats import ACCEPTED_MEDIA_TYPES


class Health(BaseModel):
    """Whether the process lives."""

    model_config = shown_as({"status": "ok"})

    status: str


class Readiness(BaseModel):
    """Whether it can search."""

    model_config = shown_as({"status": "ready", "index_version": 4183})

    status: str
    index_version: int


class CollectionInfo(BaseModel):
    """Summary of one collection."""

    name: str
    model: str
    bits: int
    images: int


class Info(BaseModel):
    """Version, collections, models, memory and limits."""

    model_config = shown_as(
        {
            "version": "0.2.0",
            "model": "lite2-256",
            "collections": [{"name": "default", "model": "lite2-256", "bits": 256, "images": 324}],
            "images": 312,
            "index_version": 325,
            "index_bytes": 12480,
            "memory_bytes": 215000000,
            "limits": {
                "max_upload_bytes": 20000000,
                "max_files_per_request": 32,
                "max_pixels": 40000000,
                "max_scans": 64,
            },
            "formats": list(ACCEPTED_MEDIA_TYPES),
            "keys_required": False,
        }
    )

    version: str
    model: str
    collections: list[CollectionInfo]
    images: int
    index_version: int
    index_bytes: int
    memory_bytes: int
    limits: dict[str, int]
    formats: list[str] = Field(description="Media types of the pictures that are decoded")
    keys_required: bool
