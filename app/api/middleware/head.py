"""Answer ``HEAD`` like ``GET``, without the body (RFC 9110, 9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _Answered(Exception):
    """Stops an answer once its head was sent; not an error."""


class HeadAsGet:
    """Shows routes a ``GET``, and drops the bodies of their answers."""

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
                # Stop here: a streamed body may be large, or endless like an event stream.
                raise _Answered
            await send(message)

        # A copy, because the server reads the method from its own scope to send no body.
        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, send_head)
        except* _Answered:
            pass
        finally:
            if "route" in as_get:
                scope["route"] = as_get["route"]
