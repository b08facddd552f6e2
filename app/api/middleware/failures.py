"""Answer requests that fail unexpectedly, or that the stopping server cancels."""

import asyncio

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import on_unexpected_error, problem_of
from app.api.public_path import public_path
from app.domain.errors import Stopping

_log = structlog.get_logger()


class Failures:
    """Answers 500 or 503 in place of an application that failed, and never shows an exception's text.

    It is inside of CORS and of the layer that adds the request id, so that these answers have all headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer it if that fails."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except ClientDisconnect:
            raise
        except asyncio.CancelledError:
            # Only the server cancels requests, when it stops and has waited long enough for them.
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            if not has_begun:
                stopping = problem_of(
                    Stopping(), instance=public_path(scope), request_id=scope["state"]["request_id"]
                )
                stopping.headers["Connection"] = "close"
                await stopping(scope, receive, send)
        except Exception:
            _log.exception("request_failed", method=scope["method"], path=scope["path"])
            if has_begun:
                raise
            answer = on_unexpected_error(public_path(scope), scope["state"]["request_id"])
            await answer(scope, receive, send)
