"""Answers that refuse a request before its body is read."""

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_SWALLOWED_BYTES: Final = 65_536


async def refuse(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send ``answer``, and have the connection closed where more than a little of the body is still to come.

    The server reads on whatever an answered request still sends, so that the connection can be used again; a
    stranger's upload is not worth that.
    """
    length = Headers(scope=scope).get("content-length")
    has_body = scope["method"] in {"POST", "PUT", "PATCH", "DELETE"}
    if has_body and (length is None or not length.isdigit() or int(length) > _SWALLOWED_BYTES):
        answer.headers["Connection"] = "close"
    await answer(scope, receive, send)
