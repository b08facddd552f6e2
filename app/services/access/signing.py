"""Signed texts that the service gives out and takes back: cursors, picture addresses, the page's session."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import asdict
from typing import Any

from app.domain.errors import InvalidCursor
from app.domain.results import SearchCursor

_SIGNATURE_BYTES = 16
_SEARCH_CURSOR = "search cursor 2"
"""Numbered by the cursor's fields: one that an older version gave out is refused, not misread."""


class Signer:
    """Signs with one secret that every process of a database shares.

    Each use has its own purpose text, so that a text signed for one is never taken for another.
    """

    def __init__(self, secret: bytes, *, signature_lifetime_s: int, session_lifetime_s: int) -> None:
        """Sign with ``secret``; lifetimes are in seconds."""
        self._secret = secret
        self._signature_lifetime_s = signature_lifetime_s
        self.session_lifetime_s = session_lifetime_s

    def _mac(self, purpose: str, message: bytes) -> bytes:
        key = hmac.digest(self._secret, purpose.encode(), hashlib.sha256)
        return hmac.digest(key, message, hashlib.sha256)[:_SIGNATURE_BYTES]

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
        """A text for ``next_cursor``."""
        return self._seal(_SEARCH_CURSOR, asdict(cursor))

    def open_search_cursor(self, text: str) -> SearchCursor:
        """Inverse of ``seal_search_cursor``.

        Raises:
            InvalidCursor: This service did not give out the text.
        """
        document = self._open(_SEARCH_CURSOR, text)
        if document is None:
            raise InvalidCursor
        return SearchCursor(**document)

    def seal_list_cursor(self, listing: str, after: int | str) -> str:
        """A text for the ``next_cursor`` of a plain list; ``listing`` names the list."""
        return self._seal(f"list cursor {listing}", {"after": after})

    def open_list_cursor(self, listing: str, text: str | None) -> Any:
        """Inverse of ``seal_list_cursor``; nothing for no text.

        Raises:
            InvalidCursor: This service did not give out the text, or gave it for another list.
        """
        if text is None:
            return None
        document = self._open(f"list cursor {listing}", text)
        if document is None:
            raise InvalidCursor
        return document["after"]

    def sign_path(self, path: str) -> str:
        """Query parameters that make ``path`` readable without a key for a while."""
        expires = int(time.time()) + self._signature_lifetime_s
        # Rounded up, so that a browser's cache meets the same address again.
        expires += -expires % self._signature_lifetime_s
        mac = self._mac("path", f"{path}\n{expires}".encode())
        return f"expires={expires}&signature={mac.hex()}"

    def path_is_signed(self, path: str, expires: str, signature: str) -> bool:
        """Whether ``sign_path`` gave out these parameters for the path and they are still good."""
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12 or int(expires) < time.time():
            return False
        mac = self._mac("path", f"{path}\n{int(expires)}".encode()).hex()
        return hmac.compare_digest(mac.encode(), signature.encode())

    def seal_session(self, key_id: str) -> str:
        """A cookie's text that stands for a key until it expires."""
        return self._seal("session", {"key": key_id, "expires": int(time.time()) + self.session_lifetime_s})

    def open_session(self, text: str) -> str | None:
        """The key's id that a cookie stands for, unless it is forged or expired."""
        document = self._open("session", text)
        if document is None or document["expires"] < time.time():
            return None
        key_id: str = document["key"]
        return key_id
