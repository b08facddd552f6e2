"""Create, list, change, rotate and revoke keys."""

from collections.abc import Sequence
from datetime import datetime

from lookalike_client.answers.keys import Key, KeyList, Secret
from lookalike_client.calls import UNSET, Call, Repeat, UnsetType, answer, changes, given, nothing, path
from lookalike_client.inputs import Scope


def list_keys() -> Call[KeyList]:
    """Return all keys, oldest first, including revoked and expired ones."""
    return Call("GET", "/admin/keys", answer(KeyList))


def create_key(
    name: str,
    scope: Scope,
    *,
    collections: Sequence[str] | None = None,
    originals: bool | None = None,
    expires_at: datetime | None = None,
) -> Call[Secret]:
    """Create a key; its secret is in this answer only. Never repeated automatically.

    Args:
        name: What the key is for.
        scope: What it may do.
        collections: The only collections that it may use; None for all.
        originals: Whether a key with the scope ``search`` may read original files.
        expires_at: When it ends, with a time zone; None for never.
    """
    body = given(name=name, scope=scope, collections=collections, originals=originals, expires_at=expires_at)
    return Call("POST", "/admin/keys", answer(Secret), json=body, repeat=Repeat.NEVER)


def get_key(key_id: str) -> Call[Key]:
    """Return a key's name, rights and times."""
    return Call("GET", path("admin", "keys", key_id), answer(Key))


def patch_key(
    key_id: str,
    *,
    name: str | UnsetType = UNSET,
    scope: Scope | UnsetType = UNSET,
    collections: Sequence[str] | UnsetType | None = UNSET,
    originals: bool | UnsetType = UNSET,
    expires_at: datetime | UnsetType | None = UNSET,
) -> Call[Key]:
    """Change a key's name or rights; what is not given stays.

    Args:
        key_id: Id of the key.
        name: What the key is for.
        scope: What it may do.
        collections: The only collections that it may use; None for all.
        originals: Whether a key with the scope ``search`` may read original files.
        expires_at: When it ends, with a time zone; None for never.
    """
    body = changes(name=name, scope=scope, collections=collections, originals=originals, expires_at=expires_at)
    return Call("PATCH", path("admin", "keys", key_id), answer(Key), json=body)


def rotate_key(key_id: str, *, overlap_s: float | None = None) -> Call[Secret]:
    """Give a key a new secret. Never repeated automatically.

    Args:
        key_id: Id of the key.
        overlap_s: For how long the old secret is still accepted, in seconds; a day if None.
    """
    return Call(
        "POST",
        path("admin", "keys", key_id, "rotate"),
        answer(Secret),
        json=given(overlap_s=overlap_s),
        repeat=Repeat.NEVER,
    )


def revoke_key(key_id: str) -> Call[None]:
    """Revoke a key for good, with its sessions and signed addresses."""
    return Call("DELETE", path("admin", "keys", key_id), nothing, repeat=Repeat.IF_REFUSED)
