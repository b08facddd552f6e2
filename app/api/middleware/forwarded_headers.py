"""Read the headers in which proxies describe the requests that they forward."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from starlette.datastructures import Headers

from app.settings.server import PREFIX_PATTERN

Address = IPv4Address | IPv6Address

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_SCHEMES: Final = frozenset({"http", "https"})
_PAIR: Final = re.compile(
    r"""[ \t]*+(?:([A-Za-z0-9!#$%&'*+.^_`|~-]++)=("(?:[^"\\]|\\.)*+"|[^\s",;]++)[ \t]*+)?(;|,|$)"""
)
"""A pair of ``Forwarded`` and what ends it. Without backtracking, since strangers send this header too."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The request that the client sent, as trusted proxies describe it; None where they are silent."""

    client: tuple[str, int] | None = None
    """Address and port; port 0 if unknown."""
    scheme: str | None = None
    host: str | None = None
    prefix: str | None = None
    """Path prefix that a proxy removed."""


def read_forwarded(headers: Headers, is_trusted: Callable[[Address], bool]) -> Forwarded:
    """Read ``X-Forwarded-*``, else ``Forwarded`` (RFC 7239), of a request from a trusted proxy.

    Each proxy appends to the lists, so they are read from the right, for as long as proxies are trusted.
    ``Forwarded`` counts only without ``X-Forwarded-For``, ``-Proto`` and ``-Host``: a proxy that sets those may
    pass on a ``Forwarded`` header of its client.

    Args:
        headers: Headers of the request.
        is_trusted: Returns whether an address is that of a trusted proxy.
    """
    clients = _list(headers, "x-forwarded-for")
    schemes = _list(headers, "x-forwarded-proto")
    hosts = _list(headers, "x-forwarded-host")
    if not (clients or schemes or hosts):
        elements = _elements(",".join(headers.getlist("forwarded")))
        clients, schemes, hosts = (
            [element.get(name, "") for element in elements] for name in ("for", "proto", "host")
        )
    client, hops = _client(clients, is_trusted)
    scheme = _nth_from_right(schemes, hops).lower()
    host = _nth_from_right(hosts, hops)
    prefix = _nth_from_right(_list(headers, "x-forwarded-prefix"), hops).rstrip("/")
    return Forwarded(
        client=client,
        scheme=scheme if scheme in _SCHEMES else None,
        host=host if _HOST.fullmatch(host) else None,
        prefix=prefix if re.fullmatch(PREFIX_PATTERN, prefix) else None,
    )


def parse_node(text: str) -> tuple[Address, int] | None:
    """Return the address and port (0 if missing) of an entry such as ``192.0.2.1:80`` or ``[2001:db8::1]:80``.

    Port and brackets are optional. None for anything else, such as ``unknown``.
    """
    host, port = text, ""
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        if not closing or (rest and not rest.startswith(":")):
            return None
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = unmapped(ipaddress.ip_address(host))
    except ValueError:
        return None
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    return unmapped(address), number


def unmapped(address: Address) -> Address:
    """Return an IPv4 address for an IPv4-mapped IPv6 address, and any other address as it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _client(values: Sequence[str], is_trusted: Callable[[Address], bool]) -> tuple[tuple[str, int] | None, int]:
    """Return the first address from the right that is no trusted proxy's, and how many entries were read."""
    found, hops = None, 0
    for value in reversed(values):
        node = parse_node(value)
        hops += 1
        if node is None:
            # A proxy that hides its client, or does not know it: its own address is the nearest known one.
            break
        found = (str(node[0]), node[1])
        if not is_trusted(node[0]):
            break
    return found, hops


def _nth_from_right(values: Sequence[str], hops: int) -> str:
    """Return the entry of the proxy that named the client; the leftmost trusted one of a shorter list."""
    return values[-min(max(hops, 1), len(values))] if values else ""


def _list(headers: Headers, name: str) -> list[str]:
    return [value.strip() for line in headers.getlist(name) for value in line.split(",") if value.strip()]


def _elements(text: str) -> list[dict[str, str]]:
    """Return the pairs of each element of ``Forwarded``; nothing if any part of the header is malformed.

    A client could otherwise send an opening quote that swallows what the proxy appends.
    """
    elements: list[dict[str, str]] = [{}]
    at = 0
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is None:
            return []
        at = found.end()
        name, value, ending = found.groups()
        if name is not None:
            elements[-1][name.lower()] = _unquoted(value)
        if ending == ",":
            elements.append({})
    return [element for element in elements if element]


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
