"""Scopes of keys and what each allows."""

from enum import StrEnum


class Scope(StrEnum):
    """What a key may do; each scope includes the ones before it."""

    SEARCH = "search"
    """Search, and read pictures, collections and models."""
    WRITE = "write"
    """Add, change and delete pictures and collections."""
    ADMIN = "admin"
    """Run jobs, change models, everything under /admin."""

    def allows(self, needed: "Scope") -> bool:
        """Whether a key of this scope may do what ``needed`` names."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)
