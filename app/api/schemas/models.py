"""Shapes of models."""

from datetime import datetime
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.common import Schema, shown_as
from app.services.model_life.comparison import Compared
from app.services.model_life.jobs import Training

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


class OfCollection(Schema):
    """Which collection."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"collection": "default"}]})

    collection: str = "default"


class Reencode(Schema):
    """What to encode under which model."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"collection": "default", "model": "lite2-64"}]}
    )

    collection: str = "default"
    model: str


class Train(Schema):
    """What to train, from which pictures."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "my-64", "collection": "default", "method": "itq", "bits": 64},
                {"name": "my-few", "collection": "default", "method": "few_shot", "label": "kind", "bits": 64},
                {"name": "my-network", "folder": "shoes", "method": "autoencoder", "bits": 32, "epochs": 40},
            ]
        },
    )

    name: str = Field(description="Of the model to be")
    collection: str | None = Field(None, description="Its pictures are learned from")
    folder: str | None = Field(
        None,
        description="Or a folder of <kind>/<picture>, below the one that jobs may read; what lies below "
        "`unlabelled` in it has no kind",
    )
    label: str = Field(
        "label",
        description="Metadata key of a collection's kinds; for semi_supervised and few_shot some may lack it",
    )
    method: str = Field(
        "itq", description="A method on a pretrained encoder; autoencoder and contrast train one"
    )
    bits: int = Field(64, description="Code length, a multiple of 8 up to 512")
    encoder: str | None = Field(None, description="A pretrained encoder, efficientnet_lite2 by default")
    epochs: int | None = Field(None, ge=1, le=10_000, description="The method's own number where absent")
    seed: int = Field(0, ge=0)
    settings: dict[str, Any] | None = Field(None, description="The method's, where they differ")

    def training(self) -> Training:
        """What the service is asked for; the default collection where nothing is named."""
        nothing = self.collection is None and self.folder is None
        fields = self.model_dump() | ({"collection": "default"} if nothing else {})
        return Training(**fields)


class Evaluate(Schema):
    """Which pictures to measure on."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"collection": "default", "label": "label"}]}
    )

    collection: str = "default"
    label: str = Field("label", description="Metadata key of the kinds")
    model: str | None = Field(None, description="The collection's own where absent")


class Activate(Schema):
    """Which collection to search under the model."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"collection": "default", "accept_missing": 0}]}
    )

    collection: str = "default"
    accept_missing: int = Field(0, ge=0, description="Go on although so many pictures will not be found")


class ActivatedShape(BaseModel):
    """What a collection is searched under now."""

    model_config = shown_as(
        {
            "collection": "default",
            "model": "lite2-64",
            "previous_model": "lite2-256",
            "missing": 2,
            "missing_by_reason": {"picture_gone": 2},
            "evicted": [],
        }
    )

    collection: str
    model: str
    previous_model: str | None = Field(description="Where a rollback leads")
    missing: int = Field(description="Pictures without a code, which no search finds")
    missing_by_reason: dict[str, int]
    evicted: list[str] = Field(description="Processes that had fallen silent and were not waited for")


class Pruned(BaseModel):
    """What was freed."""

    model_config = shown_as({"codes": 60000})

    codes: int


class Compare(Schema):
    """Two models, and the pictures to compare them on."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"collection": "default", "new": "lite2-64", "queries": ["sku-88", "sku-89"], "limit": 10}
            ]
        },
    )

    collection: str = "default"
    old: str | None = Field(None, description="The collection's present model where absent")
    new: str
    queries: list[str] = Field(min_length=1, max_length=1000, description="Ids of stored pictures")
    limit: int = Field(10, ge=1, le=1000, description="How many results of each to compare")


class MovedShape(BaseModel):
    """A result whose place differs."""

    id: str
    old_rank: int | None = Field(description="null: not among the first results")
    new_rank: int | None


class ComparedQueryShape(BaseModel):
    """One query under both models."""

    id: str
    overlap: float
    moved: list[MovedShape]


class ComparedShape(BaseModel):
    """Two models on the same queries."""

    model_config = shown_as(
        {
            "old": "lite2-256",
            "new": "lite2-64",
            "limit": 10,
            "old_pictures": 60000,
            "new_pictures": 59998,
            "overlap": 0.84,
            "queries": [
                {"id": "sku-88", "overlap": 0.9, "moved": [{"id": "sku-12", "old_rank": 3, "new_rank": None}]}
            ],
        }
    )

    old: str
    new: str
    limit: int
    old_pictures: int = Field(description="Pictures that have a code under the old model")
    new_pictures: int
    overlap: float = Field(description="Mean share of the first results that both have")
    queries: list[ComparedQueryShape]

    @classmethod
    def of(cls, compared: Compared) -> Self:
        """A comparison as the answer shows it."""
        return cls(
            old=compared.old,
            new=compared.new,
            limit=compared.k,
            old_pictures=compared.pictures[0],
            new_pictures=compared.pictures[1],
            overlap=round(compared.overlap, 4),
            queries=[
                ComparedQueryShape(
                    id=query.image_id,
                    overlap=round(query.overlap, 4),
                    moved=[
                        MovedShape(id=one.image_id, old_rank=one.old_rank, new_rank=one.new_rank)
                        for one in query.moved
                    ],
                )
                for query in compared.queries
            ],
        )
