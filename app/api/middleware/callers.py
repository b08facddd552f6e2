"""Identify callers: by key, otherwise by address."""

import ipaddress
from functools import lru_cache
from typing import Final

from starlette.types import Scope

from app.domain.access import KeyRecord

_IPV6_NETWORK_BITS: Final = 64
"""A subscriber has at least a network of this size."""


def address_of(scope: Scope) -> str:
    """The address of a request's client, or its network for IPv6.

    Behind a trusted proxy, ``BehindProxy`` has replaced the proxy's address with its client's.
    """
    client = scope.get("client")
    return "unknown" if client is None else _network_of(client[0])


@lru_cache(maxsize=1024)
def _network_of(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, _IPV6_NETWORK_BITS), strict=False))
    return str(address)


def caller_of(scope: Scope) -> str:
    """The caller that a request counts for: its key, or its address if it has no key."""
    key: KeyRecord | None = scope["state"].get("key")
    return f"address {address_of(scope)}" if key is None else f"key {key.id}"
