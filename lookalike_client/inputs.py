"""Values that requests contain: filters, crops, example pictures, pictures to add."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from lookalike_client.uploads import Upload

Rank: TypeAlias = Literal["auto", "hamming", "asymmetric", "descriptor", "expanded"]
Regions: TypeAlias = Literal["none", "borders", "auto"]
Where: TypeAlias = Literal["looks", "metadata", "both"]
OnDuplicate: TypeAlias = Literal["skip", "replace", "error"]
OnNearDuplicate: TypeAlias = Literal["report", "skip", "error"]
Scope: TypeAlias = Literal["metrics", "search", "read", "write", "admin"]
JobKind: TypeAlias = Literal[
    "index", "train", "reencode", "hash", "evaluate", "backup", "restore", "verify", "learn_words"
]
JobState: TypeAlias = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
ItemStatus: TypeAlias = Literal["created", "replaced", "unchanged", "conflict", "near_duplicate", "failed"]


class Range(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bounds of a number; at least one."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


class Condition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A condition on the metadata key ``key``: equal to ``match``, or within ``range``."""

    key: str
    match: str | int | float | bool | None = None
    range: Range | None = None


class Filter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Conditions that must all hold, and conditions of which none may hold.

    Example:
        >>> Filter(must=[Condition("brand", match="acme"), Condition("year", range=Range(gte=2020))])
        Filter(must=[...], must_not=())
    """

    must: Sequence[Condition] = ()
    must_not: Sequence[Condition] = ()


FilterLike: TypeAlias = Filter | Mapping[str, Any]
"""A filter, or the JSON object of one."""


class Crop(msgspec.Struct, frozen=True):
    """A part of the upright picture, in fractions of its sides."""

    x: float
    y: float
    width: float
    height: float


class Example(msgspec.Struct, frozen=True):
    """A stored picture that results should resemble (``+``) or differ from (``-``)."""

    image_id: str
    sign: Literal["+", "-"] = "+"


class BatchQuery(msgspec.Struct, frozen=True, omit_defaults=True):
    """One query of a batch: a stored picture, a code and its model, or a text."""

    image_id: str | None = None
    code: str | None = None
    model: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class NewPicture:
    """A picture to add.

    Attributes:
        content: Its file.
        id: Its id; ``sha256:…`` of the file if None.
        uri: Where the original is.
        metadata: A JSON object.
        name: Name of the file; the path's or file object's if None. Error messages of the service quote it.
    """

    content: Upload
    id: str | None = None
    uri: str | None = None
    metadata: Mapping[str, Any] | None = None
    name: str | None = None
