"""Answer ``OPTIONS`` with the methods of a path (RFC 9110, 9.3.7)."""

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.allowed_methods import EVERY_METHOD, allowed_methods


class Options:
    """Answers 204 with ``Allow``, without a key: the methods of every path are in the public documentation."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer ``OPTIONS``, or pass the request on."""
        methods: tuple[str, ...] = ()
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            methods = (
                EVERY_METHOD if scope["path"] == "*" else allowed_methods(scope["app"].routes, scope["path"])
            )
        if not methods:
            await self._app(scope, receive, send)
            return
        await Response(status_code=204, headers={"Allow": ", ".join(methods)})(scope, receive, send)
