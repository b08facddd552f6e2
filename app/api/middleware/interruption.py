"""Answer a request in place of the application that was reading its body."""

from typing import Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.refusal import refuse

DISCONNECT: Final[Message] = {"type": "http.disconnect"}


class Interruption:
    """Lets a layer stop reading a body and choose the answer.

    The application sees a disconnected client. Its answer is dropped, unless it had started before.
    """

    def __init__(self, app: ASGIApp, scope: Scope, send: Send) -> None:
        """Prepare to run ``app`` for the request of ``scope``."""
        self._app = app
        self._scope = scope
        self._send = send
        self.has_begun = False
        """Whether an answer has started."""
        self._answer: Response | None = None
        self._drain_bytes = 0

    @property
    def is_cut(self) -> bool:
        """Whether the request was cut short."""
        return self._answer is not None

    def cut(self, answer: Response, *, drain_bytes: int) -> Message:
        """Cut the request short.

        Args:
            answer: The answer to the client.
            drain_bytes: Most bytes of the rest to read and drop, so that the client sees the answer.

        Returns:
            The message for the application.
        """
        self._answer = answer
        self._drain_bytes = drain_bytes
        return DISCONNECT

    async def run(self, receive: Receive, *, rest: Receive) -> None:
        """Run the application.

        Args:
            receive: The body for the application.
            rest: The rest of the body after a cut.
        """
        try:
            await self._app(self._scope, receive, self._send_unless_cut)
        except ClientDisconnect:
            if self._answer is None:
                raise
        if self._answer is not None and not self.has_begun:
            await refuse(self._answer, self._scope, rest, self._send, drain_bytes=self._drain_bytes)

    async def _send_unless_cut(self, message: Message) -> None:
        if self._answer is None or self.has_begun:
            self.has_begun = True
            await self._send(message)
