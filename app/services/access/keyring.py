"""The keys as one process knows them."""

import asyncio
import hmac
from datetime import UTC, datetime

from app.domain.access import KeyRecord
from app.services.access.keys import digest_of
from app.services.index_sync.feed_follower import FeedFollower
from app.store.engine import Database


class Keyring:
    """Valid keys and ended sessions, read again when the change feed reports a change."""

    def __init__(self, database: Database, follower: FeedFollower) -> None:
        """Follow the keys of ``database``."""
        self._database = database
        self._follower = follower
        self._unrevoked: list[KeyRecord] = []
        self._ended_sessions: frozenset[str] = frozenset()
        self._any_made = False
        self._version = -1
        self._lock = asyncio.Lock()
        self._used: set[str] = set()

    async def refresh(self) -> None:
        """Read the keys if they may have changed."""
        version = self._follower.keys_version
        if version == self._version:
            return
        async with self._lock, self._database.read() as unit:
            made = await unit.keys.list()
            self._ended_sessions = await unit.keys.ended_sessions()
            self._any_made = bool(made)
            self._unrevoked = [key for key in made if key.revoked_at is None]
            self._version = version

    def mark_stale(self) -> None:
        """Read the keys again at the next ``refresh``."""
        self._version = -1

    def note_use(self, key: KeyRecord) -> None:
        """Remember that a key was used, for ``write_uses``."""
        self._used.add(key.id)

    async def write_uses(self) -> None:
        """Record which keys were used since the last call.

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
        """Whether a key was ever made; a revoked one counts, lest revoking the last one open the service."""
        return self._any_made

    def find(self, text: str) -> KeyRecord | None:
        """Return the valid key with this text; it is compared in constant time with each."""
        digest, now = digest_of(text), datetime.now(UTC)
        found = None
        for key in self._unrevoked:
            for secret_hash in key.secret_hashes(now):
                if hmac.compare_digest(secret_hash, digest) and key.is_valid(now):
                    found = key
        return found

    def by_id(self, key_id: str) -> KeyRecord | None:
        """Return the valid key with this id, or None."""
        now = datetime.now(UTC)
        return next((key for key in self._unrevoked if key.id == key_id and key.is_valid(now)), None)

    def has_ended(self, session_id: str) -> bool:
        """Return whether a session was ended before it expired."""
        return session_id in self._ended_sessions
