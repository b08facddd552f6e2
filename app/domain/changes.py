"""Entries of the change feed."""

from dataclasses import dataclass
from enum import StrEnum


class ChangeKind(StrEnum):
    """Kind of change in the feed."""

    IMAGE_PUT = "image_put"
    IMAGE_PATCHED = "image_patched"
    IMAGE_DELETED = "image_deleted"
    COLLECTION_PUT = "collection_put"
    COLLECTION_DELETED = "collection_deleted"
    MODEL_PUT = "model_put"
    KEYS = "keys"
    CODE_PUT = "code_put"
    """A stored picture got its code under a model, or the reason why it has none."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the change feed."""

    change: int
    kind: ChangeKind
    collection_pk: int | None
    number: int | None
    model: str | None
