"""Rates counted in Redis; runs where redis-server and the client of ``lookalike[redis]`` are installed."""

import asyncio
import importlib
import importlib.util
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress

import pytest
from structlog.testing import capture_logs

from app.bootstrap import open_serving
from app.services.access import rates
from app.services.access.rates import RateLimits
from app.settings import Settings

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        shutil.which("redis-server") is None or importlib.util.find_spec("redis") is None,
        reason="needs redis-server and lookalike[redis]",
    ),
]


class Redis:
    """A Redis server that a test stops and starts."""

    def __init__(self) -> None:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._launch()
        for _ in range(500):
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.port))):
                return
            await asyncio.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def _launch(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.kill()


@pytest.fixture
async def limits_of(redis) -> AsyncIterator[Callable[[], RateLimits]]:
    """Return the limits of a process that counts in Redis."""
    made: list[RateLimits] = []

    def limits() -> RateLimits:
        made.append(RateLimits(redis.url))
        return made[-1]

    yield limits
    for one in made:
        await one.close()


async def test_processes_share_their_counts(redis, limits_of):
    await redis.start()
    first, second = limits_of(), limits_of()

    counted = await asyncio.gather(
        *(limits.take("requests", 50, "caller") for limits in (first, second) for _ in range(40))
    )
    await first.charge("decoding", 100, "caller", 140)

    assert sum(not rate.is_exceeded for rate in counted) == 50
    assert (await second.look("decoding", 100, "caller")).is_exceeded


async def connections_to(redis: Redis) -> int:
    """Return how many clients a server has besides this one."""
    async with importlib.import_module("redis.asyncio").from_url(redis.url) as client:
        return len(await client.client_list()) - 1


async def test_many_requests_share_a_few_connections_which_end_with_the_limits(redis, limits_of, monkeypatch):
    monkeypatch.setattr(rates, "ANSWER_S", 10.0)
    await redis.start()
    limits = limits_of()

    await asyncio.gather(*(limits.take("requests", 1_000, f"caller {i % 7}") for i in range(300)))
    assert 1 <= await connections_to(redis) <= rates.MAX_CONNECTIONS

    await limits.close()
    assert await connections_to(redis) == 0


async def test_a_service_that_stops_closes_its_connections(redis, tmp_path, make_data_dir):
    await redis.start()
    settings = Settings(data_dir=make_data_dir(tmp_path / "data"), rate_limit_store=redis.url)
    async with open_serving(settings) as services:
        await services.rates.take("requests", 5, "caller")
        assert await connections_to(redis) == 1

    assert await connections_to(redis) == 0


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_redis_that_goes_away_limits_nobody_until_it_is_back(redis, limits_of, fault, monkeypatch):
    monkeypatch.setattr(rates, "PAUSE_S", 0.0)
    monkeypatch.setattr(rates, "ANSWER_S", 0.1)
    await redis.start()
    limits = limits_of()
    await limits.take("requests", 1, "caller")
    assert (await limits.take("requests", 1, "caller")).is_exceeded

    with capture_logs() as log:
        if fault == "killed":
            redis.kill()
        else:
            redis.process.send_signal(signal.SIGSTOP)
        assert not (await limits.take("requests", 1, "caller")).is_exceeded
        assert not (await limits.look("requests", 1, "caller")).is_exceeded
        if fault == "killed":
            await redis.start()
        else:
            redis.process.send_signal(signal.SIGCONT)
        monkeypatch.setattr(rates, "ANSWER_S", 10.0)
        answers = [await limits.take("requests", 2, "other") for _ in range(3)]

    assert [rate.is_exceeded for rate in answers] == [False, False, True]
    assert [entry["event"] for entry in log] == ["rates_not_counted", "rates_counted_again"]
