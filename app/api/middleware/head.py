"""Answers ``HEAD`` wherever ``GET`` is answered: the same head, without the body (RFC 9110, 9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _Answered(Exception):
    """Ends an answer whose head has been sent; no error."""


class HeadAsGet:
    """Lets routes see ``GET``, and drops the bodies of their answers."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer without a body, or pass the request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                await send({"type": "http.response.body", "body": b""})
                # A body in pieces may be large, or endless as an event stream is: no more of it is made.
                raise _Answered
            await send(message)

        # A copy, as the server reads in its own that the answer has no body.
        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, send_head)
        except* _Answered:
            pass
        finally:
            if "route" in as_get:
                scope["route"] = as_get["route"]
