"""Limit each caller's requests and decoding time per minute."""

import math
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.callers import caller_of
from app.api.middleware.lanes import may_decode
from app.api.middleware.refusal import refuse
from app.api.middleware.scopes import is_open
from app.api.problems import problem_of
from app.api.public_path import public_path
from app.bootstrap import ServingServices
from app.domain.errors import RateLimited
from app.services.access.rates import WINDOW_S, Rate
from app.telemetry.metrics import RATE_LIMITED
from app.telemetry.usage import begin_usage

REQUESTS: Final = "requests"
DECODING: Final = "decoding-ms"

_DETAILS: Final = {
    REQUESTS: "More than {limit:,} requests came from this caller within a minute.",
    DECODING: "Decoding this caller's pictures took more than {limit:,} ms within a minute.",
}


class RateLimit:
    """Answers 429 to a caller over a limit, before the body is read; tells other callers what remains."""

    def __init__(self, app: ASGIApp, *, max_requests: int, max_decoding_ms: int, drain_bytes: int) -> None:
        """Wrap ``app``.

        Args:
            app: The next layer.
            max_requests: Most requests of one caller in a minute; 0 for any number.
            max_decoding_ms: Most milliseconds of decoding processes for one caller in a minute; 0 for any.
            drain_bytes: Most bytes of a refused body to read and drop, so that the client sees the answer.
        """
        self._app = app
        self._max_requests = max_requests
        self._max_decoding_ms = max_decoding_ms
        self._drain_bytes = drain_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 429, or pass the request on."""
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        services: ServingServices = scope["app"].state.services
        caller = caller_of(scope)
        rate = await services.rates.take(REQUESTS, self._max_requests, caller)
        if may_decode(scope) and not rate.is_exceeded:
            decoding = await services.rates.look(DECODING, self._max_decoding_ms, caller)
            rate = decoding if decoding.is_exceeded else rate
        if rate.is_exceeded:
            await self._refuse(rate, scope, receive, send)
            return
        usage = begin_usage()
        try:
            await self._app(scope, receive, _with_rate(rate, send))
        finally:
            if usage.decode_s:
                used_ms = math.ceil(usage.decode_s * 1e3)
                await services.rates.charge(DECODING, self._max_decoding_ms, caller, used_ms)

    async def _refuse(self, rate: Rate, scope: Scope, receive: Receive, send: Send) -> None:
        RATE_LIMITED.labels(rate.name).inc()
        error = RateLimited(_DETAILS[rate.name].format(limit=rate.limit), retry_after_s=rate.reset_s)
        answer = problem_of(error, instance=public_path(scope), request_id=scope["state"]["request_id"])
        await refuse(answer, scope, receive, _with_rate(rate, send), drain_bytes=self._drain_bytes)


def _with_rate(rate: Rate, send: Send) -> Send:
    """Add the headers of draft-ietf-httpapi-ratelimit-headers to an answer."""
    if not rate.limit:
        return send

    async def send_with_rate(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message.get("headers", []),
                (b"ratelimit-policy", f'"{rate.name}";q={rate.limit};w={WINDOW_S}'.encode()),
                (b"ratelimit", f'"{rate.name}";r={rate.remaining};t={rate.reset_s}'.encode()),
            ]
        await send(message)

    return send_with_rate
