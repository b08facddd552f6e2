"""Forks feeders that write to a ClickHouse server until the database has no news, or kill themselves.

    python dying_feeder.py DATABASE_URL CLICKHOUSE_URL DATABASE LEASE_S

Each line of standard input starts one: the number of statements after which it dies by SIGKILL, -1 for never,
and ``before`` or ``after`` the server did the last one. Answers with a line each: ``killed`` or ``done``.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from app.remote.connection import EngineAddress, EngineConnection
from app.services.index_sync import engine_feeder
from app.services.index_sync.engine_feeder import EngineFeeder
from app.services.index_sync.remote_indexes import RemoteIndexes
from app.store.engine import Database


class DyingConnection(EngineConnection):
    """Kills its process at a statement."""

    def __init__(self, address: EngineAddress, dies_at: int, *, dies_after: bool) -> None:
        super().__init__(address)
        self._left = dies_at
        self._dies_after = dies_after

    def _run(self, work: Any) -> Any:
        self._left -= 1
        if self._left == -1 and not self._dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = super()._run(work)
        if self._left == -1:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


async def feed(database_url: str, connection: EngineConnection) -> None:
    """Write everything that is due."""
    database = Database.open(database_url)
    feeder = EngineFeeder(database, RemoteIndexes(database, connection), connection)
    while await feeder.turn() == 0.0:
        pass
    await feeder.close()
    await database.close()


def main() -> None:
    """Fork a feeder for each line; a fork has imported everything already."""
    database_url, url, name, lease_s = sys.argv[1:]
    engine_feeder.LEASE_S = engine_feeder.RENEW_S = float(lease_s)
    for line in sys.stdin:
        dies_at, when = line.split()
        child = os.fork()
        if child == 0:
            connection = DyingConnection(
                EngineAddress(url, name, threads=1), int(dies_at), dies_after=when == "after"
            )
            asyncio.run(feed(database_url, connection))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert was_killed or status == 0, status
        print("killed" if was_killed else "done", flush=True)


if __name__ == "__main__":
    main()
