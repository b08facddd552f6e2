"""Sign and check cursors, picture URLs and the page's session cookie."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import fields
from typing import Any

from app.domain.errors import InvalidCursor
from app.domain.results import SearchCursor

_SIGNATURE_BYTES = 16
_SEARCH_CURSOR = "search cursor 2"
"""Numbered by the version of the cursor's fields, so that old cursors are refused, not misread."""
_CURSOR_FIELDS = tuple(field.name for field in fields(SearchCursor))


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
        return SearchCursor(**document)

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

    def sign_path(self, path: str) -> str:
        """Return query parameters that allow reading ``path`` without a key until they expire."""
        expires = int(time.time()) + self._signature_lifetime_s
        # Rounded up, so that the URL stays the same for a while and browsers can cache it.
        expires += -expires % self._signature_lifetime_s
        mac = _mac(self._path_key, f"{path}\n{expires}".encode())
        return f"expires={expires}&signature={mac.hex()}"

    def path_is_signed(self, path: str, expires: str, signature: str) -> bool:
        """Return whether the parameters are a valid, unexpired signature of the path."""
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12 or int(expires) < time.time():
            return False
        mac = _mac(self._path_key, f"{path}\n{int(expires)}".encode()).hex()
        return hmac.compare_digest(mac.encode(), signature.encode())

    def seal_session(self, key_id: str) -> str:
        """Return the text of a session cookie for a key."""
        return self._seal("session", {"key": key_id, "expires": int(time.time()) + self.session_lifetime_s})

    def open_session(self, text: str) -> str | None:
        """Return the id of a session cookie's key; None if the cookie is forged or expired."""
        document = self._open("session", text)
        if document is None or document["expires"] < time.time():
            return None
        key_id: str = document["key"]
        return key_id


def _mac(key: bytes, message: bytes) -> bytes:
    # "sha256" by its name: the fastest form of this function.
    return hmac.digest(key, message, "sha256")[:_SIGNATURE_BYTES]
