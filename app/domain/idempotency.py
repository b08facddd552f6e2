"""Claims and stored answers of requests with an idempotency key."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """The exclusive right to process the request with an idempotency key."""

    scope_id: str
    key: str
    token: str
    """Fencing token: writes of this attempt are ignored after another attempt has taken over."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The stored HTTP answer to a request with an idempotency key."""

    status: int
    headers: dict[str, str]
    body: bytes
