"""Single statements on SQLite keep one connection for each thread."""

import sqlite3

import pytest

from app.store.driver.statement_readers import SqliteReader

pytestmark = pytest.mark.anyio


async def test_connections_that_cannot_be_set_up_are_closed(tmp_path, monkeypatch):
    file = tmp_path / "damaged.db"
    file.write_bytes(b"x" * 8192)
    opened = []
    connect = sqlite3.connect

    def remembered(*args, **kwargs):
        opened.append(connect(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", remembered)
    reader = SqliteReader(file, threads=1, busy_s=1.0, pragmas={"cache_size": "-2048"})

    for _ in range(3):
        with pytest.raises(sqlite3.DatabaseError, match="not a database"):
            await reader.rows("SELECT 1", {})

    assert len(opened) == 3
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
    await reader.close()
