"""Show the application each request as its client sent it, when a trusted proxy forwards it under a prefix."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.middleware.forwarded_headers import Address, Forwarded, read_forwarded, unmapped
from app.api.public_path import PREFIX_KEY

_FORWARDING: Final = re.compile(rb"forwarded|x-forwarded-(?:for|proto|host|prefix)")
"""Headers that ``read_forwarded`` reads."""
_NOTHING_FORWARDED: Final = Forwarded()
_LOCATION_KEY: Final = "app_redirect"
"""Entry of the scope: where to redirect a request of the prefix itself."""


class BehindProxy:
    """Takes client, scheme, host and prefix from trusted proxies, and removes the prefix from the path.

    Inner layers see paths without the prefix, whether the proxy removed it or not; ``public_path`` adds it to
    the addresses in answers.
    """

    def __init__(self, app: ASGIApp, *, root_path: str, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        """Wrap ``app``.

        Args:
            app: The next layer.
            root_path: Prefix of every public address; "" for none.
            trusted: Networks of the proxies whose headers are believed.
        """
        self._app = app
        self._root_path = root_path
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; mark one of the prefix itself for ``PrefixRedirect``."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        forwarded = self._read(scope)
        path: str = scope["path"]
        prefix = forwarded.prefix or self._root_path
        # A proxy that names the prefix removed it. A second one is then not a prefix: rules of the proxy about
        # paths would otherwise not hold for addresses that repeat it.
        if self._root_path and forwarded.prefix is None:
            if path == self._root_path and scope["method"] in {"GET", "HEAD"}:
                query = scope["query_string"].decode("latin-1")
                scope = {**scope, _LOCATION_KEY: f"{prefix}/?{query}" if query else f"{prefix}/"}
            if path == self._root_path or path.startswith(f"{self._root_path}/"):
                path = path.removeprefix(self._root_path) or "/"
        inner = {**scope, "path": path, PREFIX_KEY: prefix}
        if forwarded.client is not None:
            inner["client"] = forwarded.client
        if forwarded.scheme is not None:
            inner["scheme"] = forwarded.scheme
        if forwarded.host is not None:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            inner["headers"] = [(b"host", forwarded.host.encode()), *others]
        await self._app(inner, receive, send)

    def _read(self, scope: Scope) -> Forwarded:
        client = scope["client"]
        if client is None or not any(_FORWARDING.fullmatch(name) for name, _ in scope["headers"]):
            return _NOTHING_FORWARDED
        try:
            is_trusted = self._trusts(unmapped(ip_address(client[0])))
        except ValueError:
            is_trusted = False
        return read_forwarded(Headers(scope=scope), self._trusts) if is_trusted else _NOTHING_FORWARDED

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


class PrefixRedirect:
    """Redirects from the prefix to the page below it, inside of the layers that log requests."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redirect a request that ``BehindProxy`` has marked; pass on any other."""
        location = scope.get(_LOCATION_KEY)
        if location is None:
            await self._app(scope, receive, send)
        else:
            await RedirectResponse(location, 307)(scope, receive, send)
