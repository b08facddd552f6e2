"""Schemas of ``/duplicates/different``."""

from pydantic import BaseModel, Field, field_validator

from app.api.schemas.common import Schema, shown_as


class DifferentRequest(Schema):
    """Pictures, no two of which are duplicates."""

    ids: list[str] = Field(min_length=2, max_length=100, examples=[["sku-88", "sku-90"]])
    collection: str = "default"

    @field_validator("ids")
    @classmethod
    def _check_two(cls, ids: list[str]) -> list[str]:
        if len(set(ids)) < 2:
            raise ValueError("must name two different pictures or more")
        return ids


class DifferentChanged(BaseModel):
    """The number of pairs that changed."""

    model_config = shown_as({"pairs": 1})

    pairs: int = Field(description="Pairs that were added or forgotten")


class DifferentList(BaseModel):
    """Pairs of pictures that were marked as different."""

    model_config = shown_as({"items": [["sku-88", "sku-90"]], "next_cursor": None})

    items: list[list[str]] = Field(description="The ids of both pictures, the older one first")
    next_cursor: str | None
