"""Create, change, rotate and revoke keys; only a digest of each secret is stored."""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from app.domain.access import KeyRecord, Scope
from app.domain.errors import FieldError, InvalidId, InvalidRequest, KeyRevoked, UnknownKey
from app.domain.ids import parse_name
from app.services.access.signing import Session
from app.store.engine import Database

_log = structlog.get_logger()

KEY_PREFIX: Final = "lk_"
MAX_NAME_CHARS: Final = 200
MAX_COLLECTIONS: Final = 100
DEFAULT_OVERLAP: Final = timedelta(hours=24)
MAX_OVERLAP: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and its secret text, which is shown once and cannot be read again."""

    record: KeyRecord
    text: str


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key may do, and until when."""

    scope: Scope
    collections: tuple[str, ...] | None = None
    """Names of the only collections that it may use; None for all. They need not exist yet."""
    originals: bool = False
    """Whether a key with the scope ``search`` may read original files."""
    expires_at: datetime | None = None

    def check(self) -> None:
        """Refuse rights that contradict each other.

        Raises:
            InvalidRequest: A name is not valid, the end is not in the future, or the scope cannot be bound.
        """
        errors = [*self._faults_of_end(), *self._faults_of_bounds()]
        if errors:
            raise InvalidRequest(errors=errors)

    def _faults_of_end(self) -> Iterator[FieldError]:
        if self.expires_at is None:
            return
        if self.expires_at.tzinfo is None:
            yield FieldError("/expires_at", "a time with a time zone, such as 2027-01-31T00:00:00Z")
        elif not _has_utc(self.expires_at):
            yield FieldError("/expires_at", "a time before the year 10000 in UTC; leave it out for no end")
        elif self.expires_at <= datetime.now(UTC):
            yield FieldError("/expires_at", "a time in the future")

    def _faults_of_bounds(self) -> Iterator[FieldError]:
        if self.collections is None:
            return
        if not self.collections:
            yield FieldError("/collections", "at least one name; leave it out for all collections")
        if len(self.collections) > MAX_COLLECTIONS:
            yield FieldError("/collections", f"at most {MAX_COLLECTIONS} names")
        if self.scope in {Scope.ADMIN, Scope.METRICS}:
            detail = (
                f"the scope {self.scope.value!r} concerns the whole service and cannot be bound to collections"
            )
            yield FieldError("/collections", detail)
        for i, name in enumerate(self.collections):
            try:
                parse_name(name)
            except InvalidId as error:
                yield FieldError(f"/collections/{i}", error.detail)


class Keys:
    """The keys of the service."""

    def __init__(self, database: Database, *, changed: Callable[[], object] = lambda: None) -> None:
        """Keep keys in ``database``; ``changed`` is called after each change."""
        self._database = database
        self._changed = changed

    async def create(self, name: str, rights: Rights) -> NewKey:
        """Create a key of 256 random bits.

        Raises:
            InvalidRequest: The name or the rights are not valid.
        """
        _check_name(name)
        rights.check()
        key_id = secrets.token_hex(6)
        text = _new_text(key_id)
        async with self._database.write() as unit:
            record = await unit.keys.create(
                key_id=key_id,
                name=name,
                prefix=text[:12],
                secret_hash=digest_of(text),
                scope=rights.scope,
                collections=rights.collections,
                originals=rights.originals,
                expires_at=rights.expires_at,
            )
        self._changed()
        _log.info("key_created", key_id=key_id, scope=rights.scope.value)
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
        """Return all keys, including revoked and expired ones, oldest first."""
        async with self._database.read() as unit:
            return await unit.keys.list()

    async def get(self, key_id: str) -> KeyRecord:
        """Return one key.

        Raises:
            UnknownKey: There is no such key.
        """
        async with self._database.read() as unit:
            record = await unit.keys.get(key_id)
        return _existing(record, key_id)

    async def change(self, key_id: str, changes: dict[str, Any]) -> KeyRecord:
        """Change a key's name or rights.

        Args:
            key_id: The key.
            changes: New values by field: ``name`` and the fields of ``Rights``.

        Raises:
            UnknownKey: There is no such key.
            KeyRevoked: It is revoked.
            InvalidRequest: The new name or rights are not valid.
        """
        async with self._database.write() as unit:
            record = _unrevoked(await unit.keys.get(key_id), key_id)
            values = {name: getattr(record, name) for name in Rights.__slots__} | changes
            if "name" in changes:
                _check_name(values.pop("name"))
            if "expires_at" not in changes:
                values["expires_at"] = None  # one that has passed stays as it is
            Rights(**values).check()
            if changes:
                record = await unit.keys.update(key_id, **changes)
        self._changed()
        _log.info("key_changed", key_id=key_id, fields=sorted(changes))
        return record

    async def rotate(self, key_id: str, overlap: timedelta = DEFAULT_OVERLAP) -> NewKey:
        """Give a key a new secret; the old one is accepted until ``overlap`` has passed.

        Sessions and signed addresses of a secret end with it.

        Raises:
            UnknownKey: There is no such key.
            KeyRevoked: It is revoked.
            InvalidRequest: The overlap is negative or longer than 30 days.
        """
        if not timedelta(0) <= overlap <= MAX_OVERLAP:
            raise InvalidRequest(
                errors=[FieldError("/overlap_s", f"0 to {MAX_OVERLAP.total_seconds():.0f} seconds")]
            )
        text = _new_text(key_id)
        async with self._database.write() as unit:
            record = _unrevoked(await unit.keys.get(key_id), key_id)
            rotated = await unit.keys.update(
                key_id,
                prefix=text[:12],
                secret_hash=digest_of(text),
                previous_hash=record.secret_hash if overlap else None,
                previous_until=unit.now + overlap if overlap else None,
            )
        self._changed()
        _log.info("key_rotated", key_id=key_id, overlap_s=overlap.total_seconds())
        return NewKey(rotated, text)

    async def revoke(self, key_id: str) -> None:
        """Revoke a key; every process refuses it once it has read the change.

        Raises:
            UnknownKey: There is no such key.
        """
        async with self._database.write() as unit:
            _existing(await unit.keys.get(key_id), key_id)
            await unit.keys.revoke(key_id)
        self._changed()
        _log.info("key_revoked", key_id=key_id)

    async def end_session(self, session: Session) -> None:
        """End a session before it expires; every process refuses it once it has read the change."""
        async with self._database.write() as unit:
            await unit.keys.end_session(session.id, session.expires_at)
        self._changed()
        _log.info("session_ended", key_id=session.key.id)


def digest_of(text: str) -> str:
    """Return the SHA-256 of a key; enough for a secret of 256 random bits, which no dictionary holds."""
    return hashlib.sha256(text.encode()).hexdigest()


def _has_utc(moment: datetime) -> bool:
    """Return whether a time with a time zone is within the calendar in UTC."""
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return False
    return True


def _new_text(key_id: str) -> str:
    return f"{KEY_PREFIX}{key_id}_{secrets.token_urlsafe(32)}"


def _check_name(name: str) -> None:
    if not 0 < len(name.strip()) <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise InvalidRequest(errors=[FieldError("/name", f"1 to {MAX_NAME_CHARS} printable characters")])


def _existing(record: KeyRecord | None, key_id: str) -> KeyRecord:
    if record is None:
        raise UnknownKey(f"there is no key {key_id!r}")
    return record


def _unrevoked(record: KeyRecord | None, key_id: str) -> KeyRecord:
    record = _existing(record, key_id)
    if record.revoked_at is not None:
        raise KeyRevoked(f"the key {key_id!r} is revoked; create a new one")
    return record


def names_of(collections: Sequence[str]) -> tuple[str, ...] | None:
    """Return names of collections without repetitions; None for none, which means all."""
    return tuple(dict.fromkeys(collections)) or None
