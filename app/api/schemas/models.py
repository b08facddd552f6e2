"""Shapes of models."""

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, Field

from app.api.schemas.common import shown_as

_MODEL_EXAMPLE: Final[dict[str, Any]] = {
    "name": "lite2-256",
    "bits": 256,
    "descriptor_bytes": 192,
    "origin": "shipped",
    "digest": "2c26b46b68ffc68f",
    "collections": ["default"],
    "created_at": "2026-11-24T21:30:00Z",
}


class ModelShape(BaseModel):
    """A model that collections may use."""

    name: str
    bits: int
    descriptor_bytes: int
    origin: str = Field(description="shipped, or trained by this service")
    digest: str
    collections: list[str] = Field(description="Those that are searched under it")
    created_at: datetime


class ModelList(BaseModel):
    """Models by name."""

    model_config = shown_as({"items": [_MODEL_EXAMPLE], "next_cursor": None})

    items: list[ModelShape]
    next_cursor: None = None


class ModelReportShape(BaseModel):
    """Everything that is known of a model: model.json, its origin and who uses it."""

    model_config = shown_as(
        {
            **_MODEL_EXAMPLE,
            "document": {"name": "lite2-256", "bits": 256, "licence": "Apache-2.0", "metrics": []},
        }
    )

    name: str
    bits: int
    descriptor_bytes: int
    origin: str
    digest: str
    collections: list[str] = Field(description="Those that are searched under it")
    created_at: datetime
    document: dict[str, Any] = Field(
        description="model.json: method, data, licence, figures with their protocol"
    )
