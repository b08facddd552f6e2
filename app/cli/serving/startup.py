"""Report an expected startup failure in one line instead of the server's traceback."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ExplainedStart:
    """Wraps the application for uvicorn, and keeps the error of a failed startup.

    uvicorn logs the message of a failed startup, a traceback, and exits; the command raises this error instead.
    """

    def __init__(self, app: "ASGIApp") -> None:
        """Wrap ``app``."""
        self._app = app
        self.error: Exception | None = None
        """The error of a failed startup; None if it has not failed."""

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass everything on except the traceback of a failed startup."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        has_failed = False

        async def send_without_traceback(message: "Message") -> None:
            nonlocal has_failed
            if message["type"] == "lifespan.startup.failed":
                has_failed = True
                message = {**message, "message": ""}
            await send(message)

        try:
            await self._app(scope, receive, send_without_traceback)
        except Exception as error:
            if has_failed:
                self.error = error
            raise
