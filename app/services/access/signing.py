"""Sign and check cursors, picture URLs and the page's session cookie."""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Protocol

from app.domain.access import KeyRecord
from app.domain.errors import InvalidCursor
from app.domain.results import SearchCursor

_SIGNATURE_BYTES = 16
_ADDRESSES_PER_LIFETIME = 4
"""A signed address changes so often, and is valid for at least three quarters of the lifetime."""
_SEARCH_CURSOR = "search cursor 4"
"""Numbered by the version of the cursor's fields, so that old cursors are refused, not misread."""
_CURSOR_FIELDS = tuple(field.name for field in fields(SearchCursor))


class ValidKeys(Protocol):
    """What sessions are checked against."""

    def by_id(self, key_id: str) -> KeyRecord | None:
        """Return the valid key with this id, or None."""

    def has_ended(self, session_id: str) -> bool:
        """Return whether a session was ended before it expired."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the page."""

    id: str
    key: KeyRecord
    expires_at: datetime


class Signer:
    """Signs with a secret that all processes of a database share.

    Each use has its own purpose text, so that a signature for one use is invalid for another.
    """

    def __init__(self, secret: bytes, *, signature_lifetime_s: int, session_lifetime_s: int) -> None:
        """Sign with ``secret``; lifetimes are in seconds."""
        self._secret = secret
        # A page of results has an address for each hit.
        self._path_key = self._key("path")
        self._signature_lifetime_s = signature_lifetime_s
        self.session_lifetime_s = session_lifetime_s

    def _key(self, purpose: str) -> bytes:
        return hmac.digest(self._secret, purpose.encode(), hashlib.sha256)

    def _mac(self, purpose: str, message: bytes) -> bytes:
        return _mac(self._key(purpose), message)

    def _seal(self, purpose: str, document: dict[str, Any]) -> str:
        message = json.dumps(document, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(purpose, message) + message).decode().rstrip("=")

    def _open(self, purpose: str, text: str) -> dict[str, Any] | None:
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        mac, message = sealed[:_SIGNATURE_BYTES], sealed[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(mac, self._mac(purpose, message)):
            return None
        document: dict[str, Any] = json.loads(message)
        return document

    def seal_search_cursor(self, cursor: SearchCursor) -> str:
        """Return the text of ``next_cursor``."""
        return self._seal(_SEARCH_CURSOR, {name: getattr(cursor, name) for name in _CURSOR_FIELDS})

    def open_search_cursor(self, text: str) -> SearchCursor:
        """Invert ``seal_search_cursor``.

        Raises:
            InvalidCursor: The text was not issued by this service.
        """
        document = self._open(_SEARCH_CURSOR, text)
        if document is None:
            raise InvalidCursor
        # Cursors of older versions may have fields that no longer exist.
        return SearchCursor(**{name: document[name] for name in _CURSOR_FIELDS if name in document})

    def seal_list_cursor(self, listing: str, after: int | str) -> str:
        """Return the text of ``next_cursor`` for the list that ``listing`` names."""
        return self._seal(f"list cursor {listing}", {"after": after})

    def open_list_cursor(self, listing: str, text: str | None) -> Any:
        """Invert ``seal_list_cursor``; return None for None.

        Raises:
            InvalidCursor: The text was not issued by this service, or for another list.
        """
        if text is None:
            return None
        document = self._open(f"list cursor {listing}", text)
        if document is None:
            raise InvalidCursor
        return document["after"]

    def sign_path(self, path: str, key: KeyRecord) -> str:
        """Return query parameters that make ``path`` readable for a while without a header, as ``key`` may.

        The signature covers the key's secret, so that it is void once the key or the secret is.
        """
        # Rounded down, so that a browser's cache meets the same address again.
        step = max(1, self._signature_lifetime_s // _ADDRESSES_PER_LIFETIME)
        expires = str((int(time.time()) + self._signature_lifetime_s) // step * step)
        mac = self._path_mac(path, expires, key.id, key.secret_hash)
        return f"expires={expires}&key={key.id}&signature={mac}"

    def path_is_signed(self, path: str, expires: str, signature: str, key: KeyRecord) -> bool:
        """Return whether ``sign_path`` returned these parameters for the path and they are still valid."""
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12 or int(expires) < time.time():
            return False
        given = signature.encode()
        return any(
            hmac.compare_digest(self._path_mac(path, expires, key.id, secret_hash).encode(), given)
            for secret_hash in key.secret_hashes(datetime.now(UTC))
        )

    def _path_mac(self, path: str, expires: str, key_id: str, secret_hash: str) -> str:
        return _mac(self._path_key, f"{path}\n{expires}\n{key_id}\n{secret_hash}".encode()).hex()

    def seal_session(self, key: KeyRecord) -> str:
        """Return a cookie's text that stands for a key until it expires, is ended, or the secret changes."""
        expires = int(time.time()) + self.session_lifetime_s
        document = {"id": secrets.token_hex(16), "expires": expires}
        return f"{key.id}.{self._seal(_session_purpose(key.id, key.secret_hash), document)}"

    def open_session(self, text: str, keyring: ValidKeys) -> Session | None:
        """Return the session that a cookie's text stands for, or None if it is forged or over."""
        key_id, _, sealed = text.partition(".")
        key = keyring.by_id(key_id)
        if key is None:
            return None
        for secret_hash in key.secret_hashes(datetime.now(UTC)):
            document = self._open(_session_purpose(key_id, secret_hash), sealed)
            if document is None or document["expires"] < time.time() or keyring.has_ended(document["id"]):
                continue
            return Session(document["id"], key, datetime.fromtimestamp(document["expires"], UTC))
        return None


def _session_purpose(key_id: str, secret_hash: str) -> str:
    return f"session {key_id} {secret_hash}"


def _mac(key: bytes, message: bytes) -> bytes:
    # "sha256" by its name: the fastest form of this function.
    return hmac.digest(key, message, "sha256")[:_SIGNATURE_BYTES]
