"""Refuse a request before all of its body is read."""

import asyncio
import contextlib
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

STRANGER_DRAIN_BYTES: Final = 65_536
"""Most bytes to read and drop of an upload from an unknown sender."""

_DRAIN_S: Final = 10.0


async def refuse(
    answer: Response,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    drain_bytes: int = STRANGER_DRAIN_BYTES,
) -> None:
    """Send ``answer``, read and drop the rest of the body, and close the connection.

    Closing a connection with unread data resets it, and most clients then report the reset instead of the
    answer. So up to ``drain_bytes`` are read for up to ten seconds. A small body with a declared length is left
    to the server, which keeps the connection open.

    Args:
        answer: The refusal.
        scope: Scope of the request.
        receive: Receives the rest of the body.
        send: Sends the answer.
        drain_bytes: Most bytes to read and drop. A body declared to be larger is not read at all.
    """
    headers = Headers(scope=scope)
    length = declared_length(headers)
    if scope["method"] not in {"POST", "PUT", "PATCH", "DELETE"} or (
        length is not None and length <= STRANGER_DRAIN_BYTES
    ):
        await answer(scope, receive, send)
        return
    answer.headers["Connection"] = "close"
    # A client that sent "Expect" has not sent its body, and will not after this answer.
    if "expect" in headers or (length is not None and length > drain_bytes):
        await answer(scope, receive, send)
        return

    async def send_and_drain(message: Message) -> None:
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await send(message)
            return
        # The server closes the connection when the answer is complete, so complete it last.
        await send({**message, "more_body": True})
        await _drain(receive, drain_bytes)
        await send({"type": "http.response.body", "body": b""})

    await answer(scope, receive, send_and_drain)


async def _drain(receive: Receive, most_bytes: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while most_bytes > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                most_bytes -= len(message.get("body", b""))


def declared_length(headers: Headers) -> int | None:
    """Return the declared length of the body in bytes; None if the head has none."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
