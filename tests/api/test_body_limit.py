"""A large upload may take its time as long as it comes in; a slow one is cut off."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from app.api.middleware.body_limit import BodyLimit, Cap

pytestmark = pytest.mark.anyio


async def answer(path: str, *, pieces: int, pause_s: float) -> int:
    """The status of a request whose body comes in pieces of 100 bytes with pauses between them."""
    statuses = []
    left = pieces

    async def app(scope, receive, send) -> None:
        body = await Request(scope, receive).body()
        await PlainTextResponse(str(len(body)))(scope, receive, send)

    async def receive():
        nonlocal left
        left -= 1
        await asyncio.sleep(pause_s)
        return {"type": "http.request", "body": b"x" * 100, "more_body": left > 0}

    async def send(message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    limited = BodyLimit(
        app,
        cap_of=lambda _: Cap(10_000, "image_too_large", "max_upload_bytes"),
        timeout_s=0.3,
        bytes_per_extra_s=lambda scope: 100 if scope["path"] == "/index" else None,
    )
    scope = {
        "type": "http", "method": "POST", "path": path, "headers": [], "query_string": b"",
        "state": {"request_id": "r"},
    }  # fmt: skip
    await limited(scope, receive, send)
    return statuses[0]


async def test_an_upload_that_comes_in_fast_enough_is_given_more_time():
    assert await answer("/index", pieces=6, pause_s=0.1) == 200


async def test_elsewhere_the_time_is_fixed():
    assert await answer("/search", pieces=6, pause_s=0.1) == 408


async def test_an_upload_that_stands_still_is_cut_off():
    assert await answer("/index", pieces=2, pause_s=1.5) == 408
