"""Validate ids and names that callers choose, and derive ids from file contents."""

import hashlib
import re
from typing import Final

from app.domain.errors import InvalidId

_ID: Final = re.compile(r"[A-Za-z0-9_:@+][A-Za-z0-9_.:@+-]{0,254}")
_NAME: Final = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,62}")


def parse_image_id(text: str) -> str:
    """Return ``text`` if it is a valid picture id.

    Raises:
        InvalidId: ``text`` is not 1–255 characters from ``A-Z a-z 0-9 _ . : @ + -``, or starts with a dot or
            hyphen.
    """
    if not _ID.fullmatch(text):
        raise InvalidId
    return text


def parse_name(text: str) -> str:
    """Return ``text`` if it is a valid name of a collection or a model.

    Raises:
        InvalidId: ``text`` is not 1–63 characters from ``a-z 0-9 _ . -``, or starts with a dot or hyphen.
    """
    if not _NAME.fullmatch(text):
        raise InvalidId("a name has 1 to 63 characters from a-z 0-9 _ . - and must not start with . or -")
    return text


def sha256_hex(content: bytes) -> str:
    """Return the SHA-256 of ``content`` as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def content_id(sha256: str) -> str:
    """Return the default id of a picture, which makes adding the same file again idempotent."""
    return f"sha256:{sha256}"
