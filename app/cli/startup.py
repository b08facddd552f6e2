"""A start that fails on purpose ends in one line, not in the server's traceback."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ExplainedStart:
    """Wraps the application for uvicorn, and keeps the error that its start failed with.

    Uvicorn logs the message of a failed start, which is a traceback, and exits; the command raises this error.
    """

    def __init__(self, app: "ASGIApp") -> None:
        """Wrap ``app``."""
        self._app = app
        self.error: Exception | None = None
        """What the start failed with; None while it has not failed."""

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass everything on but the traceback of a failed start."""
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
