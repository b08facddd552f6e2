"""Schemas of keys."""

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, Field

from app.api.schemas.common import Schema, shown_as
from app.domain.access import Scope
from app.services.access.keys import DEFAULT_OVERLAP, MAX_NAME_CHARS, MAX_OVERLAP

_KEY_EXAMPLE: Final[dict[str, Any]] = {
    "id": "9f2c41d07ab3",
    "name": "shop frontend",
    "prefix": "lk_9f2c41d07",
    "scope": "search",
    "collections": ["shop"],
    "originals": False,
    "created_at": "2026-11-30T10:00:00Z",
    "expires_at": "2027-11-30T10:00:00Z",
    "last_used_at": None,
    "revoked_at": None,
    "previous_secret_until": None,
}

_COLLECTIONS: Final = "Names of the only collections that the key may use; null for all"
_ORIGINALS: Final = "Whether a key with the scope `search` may read original files; wider scopes always may."
_EXPIRES: Final = "When the key ends, with a time zone; null for never."


class KeyShape(BaseModel):
    """A key, without its secret."""

    model_config = shown_as(_KEY_EXAMPLE)

    id: str
    name: str
    prefix: str = Field(description="The first characters of the current secret")
    scope: Scope
    collections: list[str] | None = Field(description=_COLLECTIONS)
    originals: bool = Field(description=_ORIGINALS)
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="Accurate to a minute")
    revoked_at: datetime | None
    previous_secret_until: datetime | None = Field(
        description="Time until which the previous secret is accepted"
    )


class SecretShape(KeyShape):
    """A key with its secret."""

    model_config = shown_as({**_KEY_EXAMPLE, "secret": "lk_9f2c41d07ab3_q0…"})

    secret: str = Field(description="Send it as `Authorization: Bearer …`; it cannot be read again")


class KeyList(BaseModel):
    """Keys, oldest first, including revoked and expired ones."""

    model_config = shown_as({"items": [_KEY_EXAMPLE], "next_cursor": None})

    items: list[KeyShape]
    next_cursor: None = None


class KeyCreate(Schema):
    """A key to create."""

    name: str = Field(max_length=MAX_NAME_CHARS, description="What the key is for")
    scope: Scope
    collections: list[str] | None = Field(default=None, description=_COLLECTIONS)
    originals: bool = Field(default=False, description=_ORIGINALS)
    expires_at: datetime | None = Field(default=None, description=_EXPIRES)


class KeyChange(Schema):
    """Changes to a key; omitted fields stay as they are."""

    name: str = Field(default="", max_length=MAX_NAME_CHARS)
    scope: Scope = Scope.SEARCH
    collections: list[str] | None = Field(default=None, description=_COLLECTIONS)
    originals: bool = Field(default=False, description=_ORIGINALS)
    expires_at: datetime | None = Field(default=None, description=_EXPIRES)


class KeyRotate(Schema):
    """How to rotate a key."""

    overlap_s: float = Field(
        default=DEFAULT_OVERLAP.total_seconds(),
        ge=0,
        le=MAX_OVERLAP.total_seconds(),
        description="Time for which the old secret is still accepted, in seconds; use 0 if it has leaked",
    )
