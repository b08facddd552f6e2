"""Limit the number of requests in flight; answer 503 to the next without reading its body."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.middleware.refusal import refuse
from app.api.problems import problem_of
from app.domain.errors import Overloaded
from app.telemetry.metrics import REQUESTS_IN_FLIGHT, REQUESTS_TURNED_AWAY


class Admission:
    """Admits ``limit`` costly requests at a time; each may hold an upload, so this limits memory too."""

    def __init__(self, app: ASGIApp, *, limit: int, drain_bytes: int) -> None:
        """Wrap ``app``.

        Args:
            app: The next layer.
            limit: Most costly requests in flight.
            drain_bytes: Most bytes of a refused body to read and drop, so that the client sees the answer.
        """
        self._app = app
        self._drain_bytes = drain_bytes
        self._limit = limit
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503, or pass the request on."""
        if scope["type"] != "http" or scope["method"] not in {"POST", "PUT", "PATCH"}:
            await self._app(scope, receive, send)
            return
        if self._in_flight >= self._limit:
            REQUESTS_TURNED_AWAY.inc()
            refusal = problem_of(Overloaded(), instance=scope["path"], request_id=scope["state"]["request_id"])
            await refuse(refusal, scope, receive, send, drain_bytes=self._drain_bytes)
            return
        self._in_flight += 1
        REQUESTS_IN_FLIGHT.set(self._in_flight)
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1
            REQUESTS_IN_FLIGHT.set(self._in_flight)
