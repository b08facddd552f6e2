"""Check what the HTTP parser lets pass in a request's head: version, framing, host and target (RFC 9112)."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Names, in lower case, and values."""

_VERSIONS: Final = frozenset({"1.0", "1.1"})
_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?"
)
_TOKEN: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class RefusedHead(Exception):
    """The head of a request is not valid, or asks for what the service does not support."""

    def __init__(self, detail: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


def check_head(version: str, headers: RawHeaders) -> None:
    """Check version, framing and host.

    A proxy in front may read a faulty head in another way than this service, and then take one request for two.

    Args:
        version: Version of HTTP, such as ``1.1``.
        headers: The headers.

    Raises:
        RefusedHead: A check failed.
    """
    if version not in _VERSIONS:
        raise RefusedHead(
            f"HTTP/{version} is not supported; use HTTP/1.1.", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        )
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings:
        _check_transfer_encoding(version, codings, headers)
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1:
        raise RefusedHead("The request has more than one Host header; send one.")
    if not hosts and version == "1.1":
        raise RefusedHead("The request has no Host header, which HTTP/1.1 requires.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise RefusedHead("The Host header must be a host name or an address, with or without a port.")


def _check_transfer_encoding(version: str, codings: Sequence[bytes], headers: RawHeaders) -> None:
    if version != "1.1":
        raise RefusedHead(
            "Transfer-Encoding needs HTTP/1.1; send a Content-Length, or use a client that sends HTTP/1.1."
        )
    if any(name == b"content-length" for name, _ in headers):
        raise RefusedHead("The request has both Transfer-Encoding and Content-Length; send one of them.")
    if len(codings) > 1:
        raise RefusedHead("The request has more than one Transfer-Encoding header; send one: chunked.")
    names = [name.strip(b" \t").lower() for name in codings[0].split(b",")]
    if names == [b"chunked"]:
        return
    *others, last = names
    is_valid = last == b"chunked" and all(map(_TOKEN.fullmatch, others))
    if is_valid and not {b"chunked", b"identity"}.intersection(others):
        raise RefusedHead(
            "The only supported transfer coding is chunked; send the body as it is.", HTTPStatus.NOT_IMPLEMENTED
        )
    raise RefusedHead("Transfer-Encoding must be chunked.")


def split_target(target: bytes) -> tuple[bytes | None, bytes]:
    """Split a request's target in absolute form, as clients send it to proxies.

    Args:
        target: The target, in any form.

    Returns:
        The authority, which replaces the Host header (RFC 9112, 3.2.2), and the target in origin form. For a
        target in another form, None and the target as it is.

    Raises:
        RefusedHead: The target is an address that this service cannot have.
    """
    if target.startswith(b"/") or b"://" not in target.partition(b"?")[0]:
        return None, target
    found = _ABSOLUTE.fullmatch(target)
    authority, rest = found.groups() if found else (b"", b"")
    if not authority.partition(b":")[0] or not _HOST.fullmatch(authority):
        raise RefusedHead("The target must be a path, or an address http://host/path without a user name.")
    return authority, rest if rest.startswith(b"/") else b"/" + rest
