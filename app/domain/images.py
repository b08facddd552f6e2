"""Pictures and their codes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class ImageCode:
    """The code and descriptor of a picture under one model."""

    model: str
    code: bytes
    """bits / 8 little-endian bytes."""
    descriptor: bytes | None = None


@dataclass(frozen=True, slots=True)
class NewImage:
    """A picture to store."""

    image_id: str
    sha256: str
    uri: str | None
    metadata: dict[str, Any]
    width: int
    height: int
    media_type: str
    size_bytes: int
    has_bytes: bool
    codes: tuple[ImageCode, ...]
    is_blank: bool = False
    """Whether it is nearly uniform, so that its code does not identify copies."""
    perceptual_hash: bytes | None = None
    """The perceptual hash, 32 bytes; None if the picture has too little detail."""
    colours: bytes | None = None
    """The colour signature, 64 bytes; None if it is not known yet."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A stored picture."""

    number: int
    """Insertion number, which patches and replacements keep."""
    collection_pk: int
    image_id: str
    sha256: str
    uri: str | None
    metadata: dict[str, Any]
    width: int
    height: int
    media_type: str
    size_bytes: int
    has_bytes: bool
    revision: int
    """Starts at 1; each patch or replacement increments it."""
    change: int
    """Number of the last change."""
    created_at: datetime
    updated_at: datetime
    is_blank: bool = False
    """Whether it is nearly uniform, so that its code does not identify copies."""
