"""A large upload may take its time as long as it comes in; a slow one is cut off."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from app.api.middleware import body_limit
from app.api.middleware.body_limit import BodyLimit, Cap

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that only the pauses of a test move, so that a busy machine is no slower than an idle one."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(body_limit, "time", made)
    return made


async def answer(clock: Clock, path: str, *, pieces: int, pause_s: float = 0.0, sent: int | None = None) -> int:
    """The status of a request whose body comes in pieces of 100 bytes with pauses between them.

    After ``sent`` pieces, nothing more comes.
    """
    statuses = []
    left = pieces

    async def app(scope, receive, send) -> None:
        body = await Request(scope, receive).body()
        await PlainTextResponse(str(len(body)))(scope, receive, send)

    async def receive():
        nonlocal left
        await asyncio.sleep(0 if sent is None or pieces - left < sent else 60)
        left -= 1
        clock.now += pause_s
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


async def test_an_upload_that_comes_in_fast_enough_is_given_more_time(clock):
    assert await answer(clock, "/index", pieces=6, pause_s=0.1) == 200


async def test_elsewhere_the_time_is_fixed(clock):
    assert await answer(clock, "/search", pieces=6, pause_s=0.1) == 408


async def test_an_upload_that_comes_in_too_slowly_is_cut_off(clock):
    assert await answer(clock, "/index", pieces=6, pause_s=1.5) == 408


async def test_an_upload_that_stands_still_is_cut_off(clock):
    assert await answer(clock, "/index", pieces=2, sent=0) == 408
