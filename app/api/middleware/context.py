"""Give each request an id; log and measure it."""

import re
import time
from typing import Final
from uuid import uuid4

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.route_labels import UNKNOWN_ROUTE, RouteLabels
from app.telemetry.metrics import REQUEST_SECONDS, REQUESTS

_log = structlog.get_logger()
_ALLOWED_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class RequestContext:
    """Reads or makes ``X-Request-ID``, logs and measures each request."""

    def __init__(self, app: ASGIApp, *, labels: RouteLabels) -> None:
        """Wrap ``app``, and count its requests by ``labels``."""
        self._app = app
        self._labels = labels

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its answer with the id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        route = self._labels.label_of(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((b"x-request-id", request_id.encode()))
            await send(message)

        start = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except ClientDisconnect:
                status = status or 499
            finally:
                _observe(scope, route, status, time.perf_counter() - start)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ALLOWED_ID.fullmatch(value):
            given: str = value.decode()
            return given
    return uuid4().hex


def _observe(scope: Scope, route: str, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "other"
    REQUESTS.labels(method, route, str(status)).inc()
    if route != UNKNOWN_ROUTE:
        REQUEST_SECONDS.labels(method, route).observe(seconds)
    key = scope["state"].get("key")
    client = scope.get("client")
    _log.info(
        "request",
        method=method,
        path=scope["path"],
        status=status,
        milliseconds=round(seconds * 1e3, 2),
        key=None if key is None else key.id,
        # Behind a trusted proxy, the address of its client.
        address=None if client is None else client[0],
    )


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
