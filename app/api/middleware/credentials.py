"""Read the key that a request carries in its headers."""

from starlette.datastructures import Headers


def key_text(headers: Headers) -> str | None:
    """Return the text of a request's key; "" for an ``Authorization`` of another scheme, None without a key."""
    authorization = headers.get("authorization")
    if authorization is not None:
        kind, _, text = authorization.partition(" ")
        return text.strip() if kind.lower() == "bearer" else ""
    return headers.get("x-api-key")


def has_two_keys(headers: Headers) -> bool:
    """Return whether ``X-API-Key`` contradicts ``Authorization``."""
    other = headers.get("x-api-key")
    return other is not None and other.strip() != key_text(headers)
