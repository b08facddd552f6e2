"""Large pictures wait until the memory that they need is free; small ones do not."""

import threading
import time

import pytest
from PIL import Image

from app.domain.errors import DecoderUnavailable
from app.images.decode import Decoder
from app.images.memory_budget import MemoryBudget
from app.images.sniff import Limits
from tests.fixtures.pictures import encoded, photo

LARGE = encoded(Image.new("RGB", (3_400, 2_500)), "PNG")
"""Needs 77 MB."""


class Taker:
    """A thread that takes bytes and holds them until it is told to release them."""

    def __init__(self, budget, size, *, is_query=False):
        self.has_taken, self._may_release = threading.Event(), threading.Event()
        self._arguments = (budget, size, is_query)
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self):
        budget, size, is_query = self._arguments
        with budget.take(size, is_query=is_query):
            self.has_taken.set()
            assert self._may_release.wait(30)

    def release(self):
        self._may_release.set()
        self._thread.join(30)


def waiting(budget, size, **options) -> Taker:
    """A taker that has begun to wait."""
    before = len(budget._queries) + len(budget._others)
    taker = Taker(budget, size, **options)
    while len(budget._queries) + len(budget._others) == before:
        time.sleep(0.001)
    return taker


def test_what_does_not_fit_waits_and_later_ones_wait_behind_it():
    budget = MemoryBudget(10)
    with budget.take(7, is_query=False):
        large, small = waiting(budget, 5), waiting(budget, 1)
        assert not large.has_taken.is_set()
        assert not small.has_taken.is_set()

    assert large.has_taken.wait(30)
    assert small.has_taken.wait(30)
    large.release()
    small.release()


def test_queries_go_first():
    budget = MemoryBudget(10)
    with budget.take(10, is_query=False):
        addition = waiting(budget, 10)
        query = waiting(budget, 10, is_query=True)

    assert query.has_taken.wait(30)
    assert not addition.has_taken.is_set()
    query.release()
    assert addition.has_taken.wait(30)
    addition.release()


def test_more_than_there_is_takes_all():
    budget = MemoryBudget(10)
    with budget.take(11, is_query=False):
        other = waiting(budget, 1)
        assert not other.has_taken.is_set()
    assert other.has_taken.wait(30)
    other.release()


def test_closing_lets_all_go_on():
    budget = MemoryBudget(10)
    with budget.take(10, is_query=False):
        others = [waiting(budget, 10), waiting(budget, 10)]
        budget.close()
        assert all(other.has_taken.wait(30) for other in others)
        for other in others:
            other.release()


@pytest.fixture
def guarded():
    """A decoder whose memory suffices for one large picture, with both children started."""
    decoder = Decoder(Limits(), children=2, timeout_s=30, memory_bytes=80_000_000)
    yield decoder
    decoder.close()


def decoding(decoder, content, outcomes) -> threading.Thread:
    def decode():
        try:
            outcomes.append(decoder.decode(content))
        except DecoderUnavailable as error:
            outcomes.append(error)

    thread = threading.Thread(target=decode)
    thread.start()
    return thread


def wait_until_one_waits(budget):
    end = time.monotonic() + 30
    while not budget._queries and time.monotonic() < end:
        time.sleep(0.01)
    assert budget._queries


def test_a_large_picture_waits_beyond_its_time_limit_and_a_small_one_does_not_wait(guarded, monkeypatch):
    outcomes, late_s, monotonic = [], 0.0, time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + late_s)
    with guarded._memory.take(10_000_000, is_query=False):
        thread = decoding(guarded, LARGE, outcomes)
        wait_until_one_waits(guarded._memory)
        assert guarded.decode(encoded(photo(), "PNG")).width == 200
        assert outcomes == []
        late_s = 60.0
    thread.join(30)

    assert [outcome.width for outcome in outcomes] == [3_400]


def test_the_pictures_of_one_request_hold_no_more_than_one_of_them_needs(guarded):
    contents, outcomes = [LARGE] * 3, []
    while len(outcomes) < 3:
        outcomes += guarded.decode_some(contents[len(outcomes) :])

    assert [outcome.width for outcome in outcomes] == [3_400] * 3
    assert guarded._memory._free == 80_000_000


def test_closing_wakes_who_waits_for_memory(guarded):
    outcomes = []
    with guarded._memory.take(10_000_000, is_query=False):
        thread = decoding(guarded, LARGE, outcomes)
        wait_until_one_waits(guarded._memory)
        guarded.close()
        thread.join(30)

    assert [type(outcome) for outcome in outcomes] == [DecoderUnavailable]
