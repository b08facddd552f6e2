"""Compare a search in ClickHouse with the local scan: same clustered 256-bit codes, same queries.

The engine is chDB in this process, or the server at --url. Times are medians of single queries (k = 10). CPU
times are of this process, so those of a server and of Postgres are missing: compare their wall times. Changed
pictures are rows that were replaced and not compacted.

    python benchmarks/remote.py [--pictures N] [--changed N] [--url URL] [--threads N] [--pgvector URL]
"""

import argparse
import tempfile
import time
from collections.abc import Callable

import numpy as np
import psycopg
from search_codes import clustered

from app.index.collection_index import CollectionIndex
from app.index.matrix import Neighbours
from app.remote.connection import EngineAddress, EngineConnection
from app.remote.remote_index import RemoteIndex
from app.remote.schema import migrate
from app.remote.writer import PictureRows, Writer

BITS, K, QUERIES, BATCH = 256, 10, 20, 100_000


def main() -> None:
    """Fill both indexes, check that they agree, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=1_000)
    parser.add_argument("--url")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pgvector", help="libpq URL of a Postgres with the extension vector")
    asked = parser.parse_args()
    codes, _ = clustered(np.random.default_rng(0), asked.pictures + QUERIES, BITS)
    codes, queries = codes[QUERIES:], codes[:QUERIES]
    local = CollectionIndex(BITS, hash_from=0)
    local.load(np.arange(1, len(codes) + 1), codes, 1)
    with tempfile.TemporaryDirectory() as folder:
        address = EngineAddress(
            asked.url or f"chdb://{folder}", "lookalike_benchmark", threads=asked.threads, deadline_s=30
        )
        connection = EngineConnection(address)
        connection.command(f"DROP DATABASE IF EXISTS {connection.database}")
        migrate(connection)
        remote = fill(connection, codes, asked.changed)
        scans: dict[str, Callable[[np.ndarray], Neighbours]] = {
            "local scan": lambda query: local.view().search(query, K),
            "ClickHouse": lambda query: remote.view().search(query, K),
        }
        for query in queries:
            found = [scan(query) for scan in scans.values()]
            assert found[0].numbers.tolist() == found[1].numbers.tolist()
        if asked.pgvector:
            scans["pgvector, exact"] = pgvector(asked.pgvector, codes)
        for name, scan in scans.items():
            cpu, wall = measure(scan, queries)
            print(f"{name:16} cpu {cpu:8.2f} ms   wall {wall:8.2f} ms")
        connection.close()


def fill(connection: EngineConnection, codes: np.ndarray, changed: int) -> RemoteIndex:
    """Write all codes, and some again as replaced pictures with the same code."""
    writer = Writer(connection)
    generation = writer.begin_generation("benchmark", codes.shape[1], 1).generation
    for start in range(0, len(codes), BATCH):
        writer.fill(generation, BITS, rows_of(codes, range(start, min(start + BATCH, len(codes))), 1))
    writer.write_batch(
        generation,
        BITS,
        (1, 2),
        rows_of(codes, range(changed), 2),
        list(range(1, changed + 1)),
        is_exact=True,
    )
    return RemoteIndex.open(connection, generation, 2, BITS)


def rows_of(codes: np.ndarray, rows: range, added: int) -> PictureRows:
    """Return pictures with one of three brands."""
    return PictureRows(
        numbers=[row + 1 for row in rows],
        codes=[codes[row].tobytes() for row in rows],
        added=[added] * len(rows),
        terms=[[f"brand\0s:{row % 3}"] for row in rows],
        ranges=[[] for _ in rows],
    )


def pgvector(url: str, codes: np.ndarray) -> Callable[[np.ndarray], Neighbours]:
    """Load the codes into Postgres and return its exact search."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute(f"CREATE TEMPORARY TABLE codes (number bigint, code bit({BITS}))")
    with connection.cursor().copy("COPY codes FROM STDIN") as copy:
        for number, code in enumerate(codes, 1):
            copy.write_row((number, bits_of(code)))

    def search(query: np.ndarray) -> Neighbours:
        rows = connection.execute(
            "SELECT number, code <~> %s::bit(256) AS d FROM codes ORDER BY d, number LIMIT %s",
            (bits_of(query), K),
        ).fetchall()
        return Neighbours(np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.int32))

    return search


def bits_of(code: np.ndarray) -> str:
    """Return a code as text of ones and zeros."""
    return "".join(map(str, np.unpackbits(code.view(np.uint8), bitorder="little").tolist()))


def measure(scan: Callable[[np.ndarray], Neighbours], queries: np.ndarray) -> tuple[float, float]:
    """Return the median CPU and wall milliseconds of a query."""
    cpu, wall = [], []
    for query in queries:
        started = time.process_time(), time.perf_counter()
        scan(query)
        cpu.append(time.process_time() - started[0])
        wall.append(time.perf_counter() - started[1])
    return 1e3 * float(np.median(cpu)), 1e3 * float(np.median(wall))


if __name__ == "__main__":
    main()
