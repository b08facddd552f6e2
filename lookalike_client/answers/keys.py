"""Answers about keys."""

from datetime import datetime

from lookalike_client.answers.base import Answer


class Key(Answer, frozen=True, kw_only=True):
    """A key, without its secret."""

    id: str
    """The id."""
    name: str
    """The name."""
    prefix: str
    """The first characters of the current secret."""
    scope: str
    """What the key may do."""
    collections: tuple[str, ...] | None = None
    """Names of the only collections that the key may use; None for all."""
    originals: bool
    """Whether a key with the scope ``search`` may read original files; wider scopes always may."""
    created_at: datetime
    """Time of creation, in UTC."""
    expires_at: datetime | None = None
    """Time when the key expires, in UTC; None if it does not."""
    last_used_at: datetime | None = None
    """Accurate to a minute."""
    revoked_at: datetime | None = None
    """Time of the revocation, in UTC; None for a valid key."""
    previous_secret_until: datetime | None = None
    """Time until which the previous secret is accepted."""


class Secret(Key, frozen=True, kw_only=True):
    """A key with its secret."""

    secret: str
    """Send it as ``Authorization: Bearer …``; it cannot be read again."""


class KeyList(Answer, frozen=True, kw_only=True):
    """Keys, oldest first, including revoked and expired ones."""

    items: tuple[Key, ...]
    """The entries of this page, or the outcomes in the order of the request."""
    next_cursor: str | None = None
    """Cursor of the next page; None on the last."""
