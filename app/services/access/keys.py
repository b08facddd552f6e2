"""Create, list and revoke keys; only a digest of each secret is stored."""

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from app.domain.access import KeyRecord, Scope
from app.domain.errors import UnknownKey
from app.services.index_sync.feed_follower import FeedFollower
from app.store.engine import Database

KEY_PREFIX = "lk_"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key; its text is shown once and cannot be read again."""

    record: KeyRecord
    text: str


class Keys:
    """The keys of the service."""

    def __init__(self, database: Database) -> None:
        """Store keys in ``database``."""
        self._database = database

    async def create(self, name: str, scope: Scope) -> NewKey:
        """Create a key of 256 random bits."""
        key_id = secrets.token_hex(6)
        text = f"{KEY_PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        async with self._database.write() as unit:
            record = await unit.keys.create(
                key_id=key_id, name=name, prefix=text[:12], secret_hash=digest_of(text), scope=scope
            )
        return NewKey(record, text)

    async def ensure_bootstrap(self, text: str) -> None:
        """Register the text as an admin key, unless it is or was one."""
        key_id = digest_of(text)[:12]
        async with self._database.write() as unit:
            if await unit.keys.get(key_id) is None:
                await unit.keys.create(
                    key_id=key_id,
                    name="bootstrap",
                    prefix=f"{text[:4]}…",
                    secret_hash=digest_of(text),
                    scope=Scope.ADMIN,
                )

    async def list(self) -> list[KeyRecord]:
        """Return every key, including revoked ones."""
        async with self._database.read() as unit:
            return await unit.keys.list()

    async def revoke(self, key_id: str) -> None:
        """Revoke a key; each process refuses it once it has read the change.

        Raises:
            UnknownKey: There is no such key.
        """
        async with self._database.write() as unit:
            if await unit.keys.get(key_id) is None:
                raise UnknownKey(f"there is no key {key_id!r}")
            await unit.keys.revoke(key_id)


def digest_of(text: str) -> str:
    """Return the SHA-256 of a key; enough for a random secret of 256 bits, which no dictionary contains."""
    return hashlib.sha256(text.encode()).hexdigest()


class Keyring:
    """One process's copy of the keys, read again when the change feed reports a change."""

    def __init__(self, database: Database, follower: FeedFollower) -> None:
        """Follow the keys of ``database``."""
        self._database = database
        self._follower = follower
        self._active: list[KeyRecord] = []
        self._any_made = False
        self._version = -1
        self._lock = asyncio.Lock()
        self._used: set[str] = set()

    async def refresh(self) -> None:
        """Read the keys again if they may have changed."""
        version = self._follower.keys_version
        if version == self._version:
            return
        async with self._lock, self._database.read() as unit:
            made = await unit.keys.list()
            self._any_made = bool(made)
            self._active = [key for key in made if key.revoked_at is None]
            self._version = version

    def note_use(self, key: KeyRecord) -> None:
        """Record that a key was used, for ``write_uses``."""
        self._used.add(key.id)

    async def write_uses(self) -> None:
        """Save the last use of keys used since the previous call.

        Raises:
            DatabaseUnavailable: The database does not answer; the next call writes them.
        """
        used, self._used = self._used, set()
        if not used:
            return
        try:
            async with self._database.write() as unit:
                await unit.keys.touch(sorted(used))
        except BaseException:
            self._used |= used
            raise

    @property
    def in_use(self) -> bool:
        """Whether any key exists, even a revoked one; revoking the last one must not open the service."""
        return self._any_made

    def find(self, text: str) -> KeyRecord | None:
        """Return the valid key with this text, comparing each in constant time."""
        digest = digest_of(text)
        found = None
        for key in self._active:
            if hmac.compare_digest(key.secret_hash, digest):
                found = key
        return found

    def by_id(self, key_id: str) -> KeyRecord | None:
        """Return the valid key with this id."""
        return next((key for key in self._active if key.id == key_id), None)
