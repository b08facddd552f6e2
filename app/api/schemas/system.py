"""Shapes of the service's own state."""

from pydantic import BaseModel


class Health(BaseModel):
    """Whether the process lives."""

    status: str


class Readiness(BaseModel):
    """Whether it can search."""

    status: str
    index_version: int


class CollectionInfo(BaseModel):
    """One collection, in short."""

    name: str
    model: str
    bits: int
    images: int


class Info(BaseModel):
    """What runs here."""

    version: str
    model: str
    collections: list[CollectionInfo]
    images: int
    index_version: int
    index_bytes: int
    memory_bytes: int
    limits: dict[str, int]
    keys_required: bool
