"""Limit the requests in flight in each lane; refuse further ones with 503 or 429, unread."""

import asyncio
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.budgets import Arrival, Budget
from app.api.middleware.callers import caller_of
from app.api.middleware.interruption import DISCONNECT, Interruption
from app.api.middleware.lanes import Lane, lane_of
from app.api.middleware.refusal import declared_length, refuse
from app.api.problems import problem_of
from app.api.public_path import public_path
from app.domain.errors import Overloaded, RateLimited
from app.telemetry.metrics import ADMISSION_IN_FLIGHT, ADMISSION_PLACES, ADMISSION_REJECTED, ADMISSION_USED


class Admission:
    """Admits a request if its lane has a place for it and room for its body; lanes do not share either."""

    def __init__(self, app: ASGIApp, *, budgets: Mapping[Lane, Budget], drain_bytes: int) -> None:
        """Wrap ``app``.

        Args:
            app: The next layer.
            budgets: The budget of each lane.
            drain_bytes: Most bytes of a refused body to read and drop, so that the client gets the answer.
        """
        self._app = app
        self._drain_bytes = drain_bytes
        self._budgets = budgets
        for lane, budget in budgets.items():
            ADMISSION_PLACES.labels(lane).set(budget.max_requests)
            budget.on_use = ADMISSION_USED.labels(lane).set

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503 or 429, or pass the request on."""
        lane = lane_of(scope) if scope["type"] == "http" else None
        if lane is None:
            await self._app(scope, receive, send)
            return
        budget = self._budgets[lane]
        caller = caller_of(scope)
        try:
            budget.check(caller, declared_length(Headers(scope=scope)) or 0)
        except (Overloaded, RateLimited) as error:
            await refuse(
                _refusal(scope, lane, error, _reason(error)),
                scope,
                receive,
                send,
                drain_bytes=self._drain_bytes,
            )
            return
        with budget.arrival(caller) as arrival:
            interruption = Interruption(self._app, scope, send)
            body = _CountedBody(
                arrival,
                receive,
                interruption,
                lambda error, reason: interruption.cut(
                    _refusal(scope, lane, error, reason), drain_bytes=self._drain_bytes
                ),
            )
            if not _reads_body(scope):
                # The check above found a place, and no other task has run since.
                arrival.complete()
            with ADMISSION_IN_FLIGHT.labels(lane).track_inprogress():
                await interruption.run(body.receive, rest=receive)


class _CountedBody:
    """Counts the bytes of a body as they arrive; refuses the rest when the lane is full."""

    def __init__(
        self,
        arrival: Arrival,
        receive: Receive,
        interruption: Interruption,
        cut: Callable[[Overloaded | RateLimited, str], Message],
    ) -> None:
        self._arrival = arrival
        self._receive = receive
        self._interruption = interruption
        self._cut = cut

    async def receive(self) -> Message:
        # Bytes that arrive after the answer has begun are dropped, so they are not counted.
        if self._arrival.is_complete or self._interruption.has_begun:
            return await self._receive()
        if self._interruption.is_cut:
            return DISCONNECT
        try:
            async with asyncio.timeout(None) as waiting:
                self._arrival.waiting = waiting
                message = await self._receive()
        except TimeoutError:
            slow = Overloaded("The body arrived too slowly for a service this busy; send it again.")
            return self._cut(slow, "slow")
        finally:
            self._arrival.waiting = None
        if message["type"] == "http.request":
            try:
                self._arrival.add(len(message.get("body", b"")))
                if not message.get("more_body", False):
                    self._arrival.complete()
            except (Overloaded, RateLimited) as error:
                return self._cut(error, _reason(error))
        return message


def _reads_body(scope: Scope) -> bool:
    """Return whether the application will ask for a body; no route for ``GET`` or ``DELETE`` does."""
    if scope["method"] in {"GET", "DELETE"}:
        return False
    headers = Headers(scope=scope)
    return bool(declared_length(headers)) or "transfer-encoding" in headers


def _reason(error: Overloaded | RateLimited) -> str:
    return "caller" if isinstance(error, RateLimited) else "full"


def _refusal(scope: Scope, lane: Lane, error: Overloaded | RateLimited, reason: str) -> Response:
    ADMISSION_REJECTED.labels(lane, reason).inc()
    return problem_of(error, instance=public_path(scope), request_id=scope["state"]["request_id"])
