"""Limit the size of a request's body and the time it takes to arrive."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.interruption import DISCONNECT, Interruption
from app.api.middleware.refusal import STRANGER_DRAIN_BYTES, declared_length, refuse
from app.api.problems import problem
from app.api.public_path import public_path
from app.settings import ENV_PREFIX


class Cap(NamedTuple):
    """Most bytes of a body, the error code for a larger one, and the setting that raises the limit, if any."""

    max_bytes: int
    code: str
    setting: str | None


class BodyLimit:
    """Answers 413 to a body over its cap, 408 to one that is late, 415 to one with a content coding."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        cap_of: Callable[[Scope], Cap],
        timeout_s: float,
        bytes_per_extra_s: Callable[[Scope], int | None] = lambda _: None,
        drain_bytes: int = STRANGER_DRAIN_BYTES,
    ) -> None:
        """Wrap ``app``.

        Args:
            app: The next layer.
            cap_of: Returns the cap for a request's head.
            timeout_s: Time within which a body must arrive, in seconds.
            bytes_per_extra_s: Returns, for a request whose body may be large, how many bytes received extend
                the time by one second; None for a fixed time.
            drain_bytes: Most bytes of a refused body to read and drop, so that the client sees the answer.
        """
        self._app = app
        self._bytes_per_extra_s = bytes_per_extra_s
        self._cap_of = cap_of
        self._timeout_s = timeout_s
        self._drain_bytes = drain_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 or 408, or pass the request on."""
        if scope["type"] != "http" or scope["method"] not in {"POST", "PUT", "PATCH", "DELETE"}:
            await self._app(scope, receive, send)
            return
        coding = Headers(scope=scope).get("content-encoding", "identity").strip().lower()
        if coding not in {"", "identity"}:
            await refuse(_encoded(scope, coding), scope, receive, send, drain_bytes=self._drain_bytes)
            return
        cap = self._cap_of(scope)
        declared = declared_length(Headers(scope=scope))
        if declared is not None and declared > cap.max_bytes:
            refusal = _too_large(scope, cap)
            await refuse(refusal, scope, receive, send, drain_bytes=self._drain_bytes)
            return
        interruption = Interruption(self._app, scope, send)
        body = _BoundedBody(
            receive,
            cap.max_bytes,
            time.monotonic() + self._timeout_s,
            self._bytes_per_extra_s(scope),
            on_late=lambda: interruption.cut(_too_slow(scope, self._timeout_s), drain_bytes=0),
            on_large=lambda: interruption.cut(_too_large(scope, cap), drain_bytes=self._drain_bytes),
        )
        await interruption.run(body.receive, rest=body.rest)


class _BoundedBody:
    """Counts a body as it arrives, and cuts it at its cap or deadline."""

    def __init__(
        self,
        receive: Receive,
        cap: int,
        deadline: float,
        bytes_per_extra_s: int | None,
        *,
        on_late: Callable[[], Message],
        on_large: Callable[[], Message],
    ) -> None:
        self._receive = receive
        self._left = cap
        self._deadline = deadline
        self._bytes_per_extra_s = bytes_per_extra_s
        self._on_late = on_late
        self._on_large = on_large
        self._is_complete = False
        self._is_cut = False

    async def receive(self) -> Message:
        if self._is_complete:
            return await self._receive()
        if self._is_cut:
            return DISCONNECT
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            self._is_cut = True
            return self._on_late()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._left -= size
            if self._bytes_per_extra_s is not None:
                self._deadline += size / self._bytes_per_extra_s
            self._is_complete = not message.get("more_body", False)
            if self._left < 0:
                self._is_cut = True
                return self._on_large()
        return message

    async def rest(self) -> Message:
        """Return the next message after a cut."""
        return DISCONNECT if self._is_complete else await self._receive()


def _encoded(scope: Scope, coding: str) -> Response:
    return problem(
        415,
        "unsupported_media_type",
        f"Send the body as it is: the content coding {coding!r} is not supported.",
        instance=public_path(scope),
        request_id=scope["state"]["request_id"],
    )


def _too_large(scope: Scope, cap: Cap) -> Response:
    remedy = f"; the setting {ENV_PREFIX}{cap.setting.upper()} raises the limit" if cap.setting else ""
    return problem(
        413,
        cap.code,
        f"The body is larger than the {cap.max_bytes:,} bytes accepted here for its media type{remedy}.",
        instance=public_path(scope),
        request_id=scope["state"]["request_id"],
    )


def _too_slow(scope: Scope, timeout_s: float) -> Response:
    return problem(
        408,
        "request_timeout",
        f"The body did not arrive within {timeout_s:g} seconds; the setting {ENV_PREFIX}BODY_TIMEOUT_S raises "
        "the limit.",
        instance=public_path(scope),
        request_id=scope["state"]["request_id"],
    )
