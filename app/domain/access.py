"""Scopes of API keys."""

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
