"""API keys, their scopes, and what a caller may do."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from app.domain.errors import Forbidden


class Scope(StrEnum):
    """Permissions of a key."""

    METRICS = "metrics"
    """Read ``/metrics``, nothing else."""
    SEARCH = "search"
    """Search, compare, and see what searches show: records, thumbnails, names of collections."""
    READ = "read"
    """Also list and export pictures, read original files, duplicates, jobs, models and metrics."""
    WRITE = "write"
    """Also add, change and delete pictures and collections, and cancel jobs."""
    ADMIN = "admin"
    """Also run jobs, change models, and use everything under /admin."""

    def allows(self, needed: "Scope") -> bool:
        """Return whether this scope includes ``needed``."""
        return needed in _INCLUDED[self]


_INCLUDED: Final = {
    Scope.METRICS: {Scope.METRICS},
    Scope.SEARCH: {Scope.SEARCH},
    Scope.READ: {Scope.SEARCH, Scope.READ, Scope.METRICS},
    Scope.WRITE: {Scope.SEARCH, Scope.READ, Scope.METRICS, Scope.WRITE},
    Scope.ADMIN: set(Scope),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Rights of a request's caller, beyond the scope that the address needs."""

    collections: frozenset[str] | None = None
    """The only collections that it may use; None for all."""
    originals: bool = True
    """Whether it may read original files."""
    is_operator: bool = True
    """Whether it may read data about the whole service, such as its memory."""

    def check_collection(self, name: str) -> None:
        """Refuse a collection that the caller may not use, whether or not it exists.

        Raises:
            Forbidden: The caller's key is bound to other collections.
        """
        if not self.may_use(name):
            raise Forbidden(
                f"this key is bound to the collections {', '.join(sorted(self.collections or ()))}; "
                f"the request names {name!r}"
            )

    def may_use(self, name: str | None) -> bool:
        """Return whether the caller may use a collection; None stands for the service as a whole."""
        return self.collections is None or name in self.collections

    def visible(self, names: Collection[str]) -> list[str]:
        """Return those names of collections that the caller may use."""
        return [name for name in names if self.may_use(name)]

    def check_originals(self) -> None:
        """Refuse a caller that may not read original files.

        Raises:
            Forbidden: The caller's key has the scope ``search`` and does not include originals.
        """
        if not self.originals:
            raise Forbidden(
                "this key does not include original files; use a thumbnail, or a key with the scope 'read'"
            )


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
    collections: tuple[str, ...] | None
    """Names of the only collections that it may use; None for all."""
    originals: bool
    """Whether a key with the scope ``search`` may read original files; wider scopes always may."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    previous_hash: str | None
    """SHA-256 of the secret before the last rotation."""
    previous_until: datetime | None
    """End of the time in which that secret is accepted."""

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def secret_hashes(self, now: datetime) -> tuple[str, ...]:
        """Return the hashes of the secrets that are accepted now, the newest first."""
        if self.previous_hash is None or self.previous_until is None or now >= self.previous_until:
            return (self.secret_hash,)
        return self.secret_hash, self.previous_hash

    @property
    def caller(self) -> Caller:
        """What the holder of the key may see."""
        is_bound = self.collections is not None
        return Caller(
            collections=None if self.collections is None else frozenset(self.collections),
            originals=self.originals or self.scope.allows(Scope.READ),
            is_operator=self.scope.allows(Scope.READ) and not is_bound,
        )
