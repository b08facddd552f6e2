"""Tasks take several units at once, in turn, and never more than there are."""

import asyncio

import pytest

from app.services.pictures.weighted_semaphore import WeightedSemaphore

pytestmark = pytest.mark.anyio


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Holders:
    """Tasks that hold units of a room until they are told to end."""

    def __init__(self, units: int) -> None:
        self.room = WeightedSemaphore(units)
        self.holding: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}

    async def start(self, name: str, units: int) -> asyncio.Task[None]:
        self._ends[name] = asyncio.Event()
        task = asyncio.create_task(self._hold(name, units))
        await settled()
        return task

    async def _hold(self, name: str, units: int) -> None:
        async with self.room.take(units):
            self.holding.append(name)
            try:
                await self._ends[name].wait()
            finally:
                self.holding.remove(name)

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settled()


async def test_a_task_waits_until_its_units_are_free_and_later_ones_wait_behind_it():
    holders = Holders(4)
    await holders.start("three", 3)
    await holders.start("two", 2)
    await holders.start("one", 1)
    assert holders.holding == ["three"]
    await holders.end("three")
    assert holders.holding == ["two", "one"]
    await holders.start("another", 1)
    assert holders.holding == ["two", "one", "another"]


async def test_units_of_a_cancelled_task_are_free_again():
    holders = Holders(2)
    holding = await holders.start("both", 2)
    waiting = await holders.start("first in line", 2)
    await holders.start("second in line", 1)

    waiting.cancel()
    holding.cancel()
    await settled()

    assert holders.holding == ["second in line"]
    await holders.start("the other unit", 1)
    assert holders.holding == ["second in line", "the other unit"]


async def test_a_task_that_gives_up_lets_those_behind_it_take_what_is_free():
    holders = Holders(2)
    await holders.start("one", 1)
    large = await holders.start("large", 2)
    await holders.start("small", 1)
    assert holders.holding == ["one"]

    large.cancel()
    await settled()

    assert holders.holding == ["one", "small"]


async def test_a_task_that_is_cancelled_as_it_gets_its_units_returns_them():
    holders = Holders(1)
    await holders.start("one", 1)
    two = await holders.start("two", 1)

    holders._ends["one"].set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    two.cancel()
    await settled()

    await holders.start("three", 1)
    assert "three" in holders.holding


async def test_more_units_than_there_are_are_refused():
    with pytest.raises(ValueError, match="3 units"):
        async with WeightedSemaphore(2).take(3):
            pass
