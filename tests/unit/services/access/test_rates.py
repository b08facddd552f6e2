"""Counts of callers take bounded memory."""

import asyncio
import traceback

import pytest
from limits.errors import StorageError
from structlog.testing import capture_logs

from app.services.access import rates
from app.services.access.rates import RateLimits

pytestmark = pytest.mark.anyio


async def test_many_addresses_take_bounded_memory_and_an_active_one_stays_counted(monkeypatch):
    monkeypatch.setattr(rates, "MAX_COUNTED", 20)
    limits = RateLimits()
    store = limits._limiter.storage
    active = [await limits.take("wrong-keys", 5, "active") for _ in range(5)]
    assert not active[-1].is_exceeded
    for i in range(200):
        await limits.take("wrong-keys", 5, f"2001:db8:{i:x}::/64")
        if i % 10 == 0:
            assert (await limits.take("wrong-keys", 5, "active")).is_exceeded

    assert len(store.storage) <= 2 * 20
    assert len(store.expirations) <= 2 * 20
    assert len(store.locks) <= 4 * 20
    assert len(limits._counted) <= 20


async def test_what_was_forgotten_starts_again(monkeypatch):
    monkeypatch.setattr(rates, "MAX_COUNTED", 1)
    limits = RateLimits()
    assert (await limits.take("requests", 2, "a")).remaining == 1
    await limits.take("requests", 2, "b")
    assert (await limits.take("requests", 2, "a")).remaining == 1


class FailingLimiter:
    """A limiter whose store refuses or never answers, and counts how often it was asked."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.calls = 0

    async def hit(self, *_: object, **__: object) -> bool:
        self.calls += 1
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()
        return True


@pytest.mark.parametrize("error", [StorageError(OSError("refused")), ConnectionResetError("reset"), None])
async def test_a_store_that_fails_limits_nobody_and_is_asked_and_logged_once(error, monkeypatch):
    monkeypatch.setattr(rates, "ANSWER_S", 0.01)
    limits = RateLimits()
    limits._is_bounded = False
    working, failing = limits._limiter, FailingLimiter(error)
    monkeypatch.setattr(limits, "_limiter", failing)

    with capture_logs() as log:
        for _ in range(50):
            assert not (await limits.take("requests", 1, "a")).is_exceeded
        assert failing.calls == 1

        limits._ask_again_at = 0
        await asyncio.gather(*(limits.take("requests", 1, "a") for _ in range(50)))
        assert failing.calls == 2

        limits._ask_again_at = 0
        monkeypatch.setattr(limits, "_limiter", working)
        assert (await limits.take("requests", 1, "a")).remaining == 0
        assert (await limits.take("requests", 1, "a")).is_exceeded

    assert [entry["event"] for entry in log] == ["rates_not_counted", "rates_counted_again"]
    assert log[0]["detail"]
    assert "exc_info" not in log[0]


@pytest.mark.parametrize("url", ["redi://:pw1234@host:1", "redis://:pw1234@host:x"])
def test_a_store_that_cannot_be_used_is_refused_without_its_password(url):
    with pytest.raises(ValueError, match="cannot be used") as caught:
        RateLimits(url)
    assert "pw1234" not in "".join(traceback.format_exception(caught.value))
