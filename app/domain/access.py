"""API keys and their scopes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """Permissions of a key; each scope includes the ones before it."""

    SEARCH = "search"
    """Search, and read pictures, collections and models."""
    WRITE = "write"
    """Add, change and delete pictures and collections."""
    ADMIN = "admin"
    """Run jobs, change models, and use everything under /admin."""

    def allows(self, needed: "Scope") -> bool:
        """Return whether this scope includes ``needed``."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key, without its secret."""

    id: str
    name: str
    prefix: str
    """First characters of the key, for display."""
    secret_hash: str
    """SHA-256 of the secret, in hex. A random 256-bit secret needs no slow hash."""
    scope: Scope
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
