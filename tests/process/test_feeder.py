"""Feeders that die by SIGKILL at any statement, and a server that dies with them, lose and repeat nothing."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from app.remote.connection import EngineAddress, EngineConnection
from app.remote.schema import migrate
from tests.fixtures.clickhouse_server import ClickHouseServer
from tests.integration.services.index_sync.feeding import (
    assert_holds_the_database,
    change_something,
    collection,  # noqa: F401
    database,  # noqa: F401
    load,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KILLS = 200 if os.environ.get("LOOKALIKE_SOAK") else 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouseServer]:
    server = ClickHouseServer(tmp_path / "clickhouse")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def start_feeders(
    sqlite_url: str, server: ClickHouseServer
) -> Iterator[Callable[[float], subprocess.Popen[str]]]:
    """Start a process that runs feeders, whose leases expire after some seconds."""
    started = []

    def start(lease_s: float) -> subprocess.Popen[str]:
        arguments = [sqlite_url, server.url, "lookalike", str(lease_s)]
        command = [sys.executable, "-m", "tests.process.dying_feeder", *arguments]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.communicate()


def begin(feeders: subprocess.Popen[str], dies_at: int, when: str) -> None:
    assert feeders.stdin is not None
    feeders.stdin.write(f"{dies_at} {when}\n")
    feeders.stdin.flush()


def outcome_of(feeders: subprocess.Popen[str]) -> str:
    assert feeders.stdout is not None
    while (line := feeders.stdout.readline().strip()) not in {"killed", "done", ""}:
        pass  # its log
    return line


def run(feeders: subprocess.Popen[str], dies_at: int, when: str) -> str:
    begin(feeders, dies_at, when)
    return outcome_of(feeders)


async def test_feeders_are_killed_twenty_times_and_their_server_with_some_of_them(
    database,  # noqa: F811
    collection,  # noqa: F811
    server,
    start_feeders,
):
    feeders = start_feeders(0.0)  # those of killed feeders have expired
    rng = np.random.default_rng(6)
    connection = EngineConnection(EngineAddress(server.url, "lookalike", threads=1))
    migrate(connection)
    killed = 0
    for step in range(KILLS):
        await change_something(database, collection, rng, step)
        outcome = run(feeders, int(rng.integers(1, 12)), "after" if rng.integers(2) else "before")
        assert outcome in {"killed", "done"}
        killed += outcome == "killed"
        if step % 7 == 6:
            server.kill()
            server.start()
    assert killed > KILLS // 2
    assert run(feeders, -1, "before") == "done"
    await assert_holds_the_database(database, await load(database, connection, collection))
    assert_has_no_row_twice(connection)
    connection.close()


async def test_two_feeders_that_compete_for_the_lease_take_turns(
    database,  # noqa: F811
    collection,  # noqa: F811
    server,
    start_feeders,
):
    rng = np.random.default_rng(7)
    connection = EngineConnection(EngineAddress(server.url, "lookalike", threads=1))
    migrate(connection)
    both = [start_feeders(60.0), start_feeders(60.0)]
    for step in range(6):
        await change_something(database, collection, rng, step)
        for feeders in both:
            begin(feeders, -1, "before")
        assert [outcome_of(feeders) for feeders in both] == ["done", "done"]
    assert run(both[0], -1, "before") == "done"
    await assert_holds_the_database(database, await load(database, connection, collection))
    assert_has_no_row_twice(connection)
    connection.close()


def assert_has_no_row_twice(connection: EngineConnection) -> None:
    [(rows, different)] = connection.query(
        "SELECT count(), uniqExact(generation, number, added) FROM lookalike.codes_1"
    )
    assert rows == different
