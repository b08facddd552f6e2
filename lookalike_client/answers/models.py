"""Answers about models."""

from datetime import datetime

from lookalike_client.answers.base import Answer, JsonObject


class Model(Answer, frozen=True, kw_only=True):
    """A model that collections may use."""

    name: str
    """The name."""
    bits: int
    """Length of a code, in bits."""
    descriptor_bytes: int
    """Length of a descriptor, in bytes; 0 for a model without descriptors."""
    origin: str
    """shipped, or trained by this service."""
    words: str | None = None
    """What understands texts: a ``text tower``, or ``names`` of classes; None without either."""
    digest: str
    """SHA-256 of the model's files."""
    collections: tuple[str, ...]
    """Collections that are searched under it."""
    created_at: datetime
    """Time of creation, in UTC."""


class ModelList(Answer, frozen=True, kw_only=True):
    """Models ordered by name."""

    items: tuple[Model, ...]
    """The entries of this page, or the outcomes in the order of the request."""
    next_cursor: str | None = None
    """Cursor of the next page; None on the last."""


class ModelReport(Model, frozen=True, kw_only=True):
    """A model's document, origin and users."""

    document: JsonObject
    """model.json: method, data, licence, figures with their protocol."""


class Activated(Answer, frozen=True, kw_only=True):
    """The active model of a collection after a switch."""

    collection: str
    """Name of the collection."""
    model: str
    """Name of the model."""
    previous_model: str | None = None
    """The model to which a rollback returns."""
    missing: int
    """Pictures without a code; no search finds them."""
    missing_by_reason: dict[str, int]
    """Number of pictures without a code, by the reason."""
    evicted: tuple[str, ...]
    """Processes without a recent heartbeat, for which the switch did not wait."""


class Pruned(Answer, frozen=True, kw_only=True):
    """Number of deleted codes."""

    codes: int
    """Number of codes."""


class Moved(Answer, frozen=True, kw_only=True):
    """A result whose rank differs."""

    id: str
    """The id."""
    old_rank: int | None = None
    """None if not among the first results."""
    new_rank: int | None = None
    """Rank under the new model; None if not among the first results."""


class ComparedQuery(Answer, frozen=True, kw_only=True):
    """One query under both models."""

    id: str
    """The id."""
    overlap: float
    """Share of the first results that both models return."""
    moved: tuple[Moved, ...]
    """Results whose rank differs."""


class Compared(Answer, frozen=True, kw_only=True):
    """Two models on the same queries."""

    old: str
    """Name of the old model."""
    new: str
    """Name of the new model."""
    limit: int
    """Most results."""
    old_pictures: int
    """Pictures that have a code under the old model."""
    new_pictures: int
    """Pictures that have a code under the new model."""
    overlap: float
    """Mean share of the first results that both models return."""
    queries: tuple[ComparedQuery, ...]
    """The queries."""
    measured: JsonObject | None = None
    """For a trained model: figures of ``kinds`` and ``copies`` for it and for ``against``, the model in use
    when it was trained, each with a verdict; None if nothing was measured."""
