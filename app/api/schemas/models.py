"""Schemas of models."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.common import Schema, shown_as
from app.services.model_life.comparison import ModelComparisonResult
from app.services.model_life.jobs import TrainingOptions

_WORDS: Final = (
    "How texts are understood: by a text tower, or by names of the encoder's classes; null if they are not"
)
_MODEL_EXAMPLE: Final[dict[str, Any]] = {
    "name": "lite2-256",
    "bits": 256,
    "descriptor_bytes": 192,
    "words": "names",
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
    words: Literal["names", "text tower"] | None = Field(description=_WORDS)
    digest: str
    collections: list[str] = Field(description="Collections that are searched under it")
    created_at: datetime


class ModelList(BaseModel):
    """Models ordered by name."""

    model_config = shown_as({"items": [_MODEL_EXAMPLE], "next_cursor": None})

    items: list[ModelShape]
    next_cursor: None = None


class ModelReportShape(BaseModel):
    """A model's document, origin and users."""

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
    words: Literal["names", "text tower"] | None = Field(description=_WORDS)
    digest: str
    collections: list[str] = Field(description="Collections that are searched under it")
    created_at: datetime
    document: dict[str, Any] = Field(
        description="model.json: method, data, licence, figures with their protocol"
    )


class OfCollection(Schema):
    """A collection by name."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"collection": "default"}]})

    collection: str = "default"


class Reencode(Schema):
    """A collection and the model to encode it under."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"collection": "default", "model": "lite2-64"}]}
    )

    collection: str = "default"
    model: str
    force: bool = Field(
        default=False,
        description="Also encode pictures that have a code, for instance after an upgrade of the decoders",
    )


class Train(Schema):
    """A model to train, and the pictures to train on."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "my-64", "collection": "default", "label": "kind"},
                {"name": "my-few", "collection": "default", "method": "few_shot", "label": "kind", "bits": 64},
                {"name": "my-network", "folder": "shoes", "method": "autoencoder", "bits": 32, "epochs": 40},
            ]
        },
    )

    name: str = Field(description="Name of the new model")
    collection: str | None = Field(None, description="Train on the pictures of this collection")
    folder: str | None = Field(
        None,
        description="Or train on a folder of <kind>/<picture> below LOOKALIKE_IMPORT_ROOT; pictures below "
        "`unlabelled` have no kind",
    )
    label: str = Field(
        "label",
        description="Metadata key of the kind; for semi_supervised and few_shot some pictures may lack it",
    )
    method: str | None = Field(
        None,
        description="A hash method on a pretrained encoder, diffusion_similarity if absent; autoencoder and "
        "contrast train the encoder too",
    )
    bits: int | None = Field(
        None,
        description="Code length, a multiple of 8 up to 512; if absent 256, or the longest of 128, 64, 32 "
        "and 16 that is shorter than the number of pictures; 64 for autoencoder and contrast",
    )
    encoder: str | None = Field(None, description="Pretrained encoder; efficientnet_lite2 by default")
    wordnet: float = Field(
        0.0,
        ge=0,
        le=2,
        description="Weight of what ImageNet's classifier sees, summed up along WordNet, beside the features; "
        "0.5 finds more of broad kinds",
    )
    epochs: int | None = Field(
        None, ge=1, le=10_000, description="Number of epochs; the method's default if absent"
    )
    seed: int = Field(0, ge=0)
    settings: dict[str, Any] | None = Field(
        None, description="Settings of the method that differ from its defaults"
    )

    def training(self) -> TrainingOptions:
        """The training request; uses the default collection if no source is named."""
        nothing = self.collection is None and self.folder is None
        fields = self.model_dump() | ({"collection": "default"} if nothing else {})
        return TrainingOptions(**fields)


class Evaluate(Schema):
    """The pictures to evaluate on."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"collection": "default", "label": "label"}]}
    )

    collection: str = "default"
    label: str = Field("label", description="Metadata key of the kind")
    model: str | None = Field(None, description="The collection's active model if absent")


class LearnWords(Schema):
    """The metadata to learn words from."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"collection": "default", "keys": ["label", "tags"]}]}
    )

    collection: str = "default"
    keys: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        min_length=1,
        max_length=16,
        description="Metadata keys with labels, lists of tags, or captions; a key in nested objects is a "
        "dotted path. Texts are split at commas, semicolons and line ends; parts of more than three words are "
        "captions, of which each word counts",
    )
    model: str | None = Field(
        None, description="Learn from this model's codes; the collection's active model if absent"
    )
    min_pictures: int = Field(3, ge=2, le=1_000, description="Minimum number of pictures that carry a word")
    min_precision: float = Field(
        0.5, ge=0, le=1, description="Minimum cross-validated `precision_at_10` of a word that searches use"
    )


class Activate(Schema):
    """The collection to activate the model for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"collection": "default", "accept_missing": 0}]}
    )

    collection: str = "default"
    accept_missing: int = Field(0, ge=0, description="Activate even if up to this many pictures have no code")


class ActivatedShape(BaseModel):
    """The active model of a collection after a switch."""

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
    previous_model: str | None = Field(description="The model to which a rollback returns")
    missing: int = Field(description="Pictures without a code; no search finds them")
    missing_by_reason: dict[str, int]
    evicted: list[str] = Field(
        description="Processes without a recent heartbeat, for which the switch did not wait"
    )


class Pruned(BaseModel):
    """Number of deleted codes."""

    model_config = shown_as({"codes": 60000})

    codes: int


class CompareModels(Schema):
    """Two models, and the pictures to compare them on."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"collection": "default", "new": "lite2-64", "queries": ["sunset-01", "sunset-02"], "limit": 10}
            ]
        },
    )

    collection: str = "default"
    old: str | None = Field(None, description="The collection's active model if absent")
    new: str
    queries: list[str] = Field(min_length=1, max_length=1000, description="Ids of stored pictures")
    limit: int = Field(10, ge=1, le=1000, description="Number of results to compare for each query")


class MovedShape(BaseModel):
    """A result whose rank differs."""

    id: str
    old_rank: int | None = Field(description="null if not among the first results")
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
            "measured": None,
        }
    )

    old: str
    new: str
    limit: int
    old_pictures: int = Field(description="Pictures that have a code under the old model")
    new_pictures: int
    overlap: float = Field(description="Mean share of the first results that both models return")
    queries: list[ComparedQueryShape]
    measured: dict[str, Any] | None = Field(
        description="For a trained model: figures of `kinds` and `copies` for it and for `against`, the model "
        "in use when it was trained, each with the verdict `better`, `worse` or `no clear difference` in the "
        "better of two orders, the same for `by_code` alone, and a `note` if only the codes are worse; null if "
        "nothing was measured"
    )

    @classmethod
    def of(cls, compared: ModelComparisonResult) -> Self:
        """Convert a comparison."""
        return cls(
            old=compared.old,
            new=compared.new,
            limit=compared.k,
            old_pictures=compared.pictures[0],
            new_pictures=compared.pictures[1],
            overlap=round(compared.overlap, 4),
            measured=compared.measured,
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
