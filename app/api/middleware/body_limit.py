"""Bounds a request's body in bytes and in time, while it is read."""

import asyncio
import time
from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.refusal import refuse
from app.api.problems import problem


class BodyLimit:
    """413 for a body over its cap, 408 for one that does not arrive in time; what is over is never read."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: Callable[[str], int],
        timeout_s: float,
        bytes_per_extra_s: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        """Wrap ``app``.

        Args:
            app: The next layer.
            max_bytes: Gives the cap for a path.
            timeout_s: Time within which a body must have arrived, in seconds.
            bytes_per_extra_s: Gives, for a path that takes large bodies, how many bytes must have arrived to
                allow it another second; None where none is allowed.
        """
        self._app = app
        self._bytes_per_extra_s = bytes_per_extra_s
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 or 408, or pass the request on."""
        if scope["type"] != "http" or scope["method"] not in {"POST", "PUT", "PATCH", "DELETE"}:
            await self._app(scope, receive, send)
            return
        cap = self._max_bytes(scope["path"])
        declared = _content_length(scope)
        if declared is not None and declared > cap:
            await refuse(_too_large(scope, cap), scope, receive, send)
            return
        extra = self._bytes_per_extra_s(scope["path"])
        body = _BoundedBody(receive, cap, time.monotonic() + self._timeout_s, extra)
        started = False

        async def send_unless_cut(message: Message) -> None:
            nonlocal started
            if body.cut is None or started:
                started = True
                await send(message)

        try:
            await self._app(scope, body.receive, send_unless_cut)
        except ClientDisconnect:
            if body.cut is None:
                raise
        # Whatever the app made of a body that was cut off, the caller hears of the cut.
        if body.cut is not None and not started:
            answer = _too_large(scope, cap) if body.cut == "bytes" else _too_slow(scope, self._timeout_s)
            await refuse(answer, scope, receive, send)


class _BoundedBody:
    """Counts a body as it comes in and ends it, as a disconnect would, at its cap or deadline."""

    def __init__(self, receive: Receive, cap: int, deadline: float, bytes_per_extra_s: int | None) -> None:
        self._receive = receive
        self._left = cap
        self._deadline = deadline
        self._bytes_per_extra_s = bytes_per_extra_s
        self._complete = False
        self.cut: str | None = None

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        if self.cut is not None:
            return {"type": "http.disconnect"}
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            self.cut = "time"
            return {"type": "http.disconnect"}
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._left -= size
            if self._bytes_per_extra_s is not None:
                self._deadline += size / self._bytes_per_extra_s
            self._complete = not message.get("more_body", False)
            if self._left < 0:
                self.cut = "bytes"
                return {"type": "http.disconnect"}
        return message


def _content_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None


def _too_large(scope: Scope, cap: int) -> Response:
    return problem(
        413,
        "image_too_large",
        f"The body is larger than the {cap} bytes that this address takes.",
        instance=scope["path"],
        request_id=scope["state"]["request_id"],
    )


def _too_slow(scope: Scope, timeout_s: float) -> Response:
    return problem(
        408,
        "request_timeout",
        f"The body did not arrive within {timeout_s:g} seconds.",
        instance=scope["path"],
        request_id=scope["state"]["request_id"],
    )
