"""Counts of callers take bounded memory."""

import pytest

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
