"""Registered models."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Origin(StrEnum):
    """Origin of a model."""

    SHIPPED = "shipped"
    TRAINED = "trained"


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A registered model."""

    name: str
    digest: str
    """SHA-256 over the artifact's files; models with equal digests produce equal codes."""
    bits: int
    descriptor_bytes: int
    """Size of a descriptor in bytes; 0 if the model has none."""
    origin: Origin
    document: dict[str, Any]
    """The artifact's model.json."""
    location: str
    """Location of the artifact: a folder, or a key in the picture store."""
    created_at: datetime

    @property
    def words(self) -> str | None:
        """How it understands texts: by its ``text tower`` or by ``names`` of classes; None if it does not."""
        if self.document.get("text_tower"):
            return "text tower"
        return "names" if "class_weights.npy" in self.document.get("files", {}) else None
