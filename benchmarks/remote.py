"""Compare a search in ClickHouse with the local scan and pgvector: same clustered 256-bit codes, same queries.

The engine is chDB in this process, or the server at --url. Times are medians of single queries (k = 10). CPU
times include the backend of Postgres, which scans without parallel workers, but not a server at --url. Changed
pictures are rows that were replaced and not compacted.

    python benchmarks/remote.py [--pictures N] [--changed N] [--url URL] [--threads N] [--pgvector [URL]]
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psycopg

from app.index.collection_index import CollectionIndex
from app.index.matrix import Neighbours
from app.remote.connection import EngineAddress, EngineConnection
from app.remote.remote_index import RemoteIndex
from app.remote.schema import migrate
from app.remote.writer import PictureRows, Writer
from benchmarks.postgres import postgres
from benchmarks.search_codes import clustered

BITS, K, QUERIES, BATCH = 256, 10, 20, 100_000
Search = Callable[[np.ndarray], Neighbours]


def main() -> None:
    """Fill the indexes, check that they agree, and print the times."""
    # As after Ctrl-C, so that servers are stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=1_000)
    parser.add_argument("--url")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--pgvector",
        nargs="?",
        const="",
        help="libpq URL of a Postgres with the extension vector; without URL, one is started",
    )
    options = parser.parse_args()
    codes, _ = clustered(np.random.default_rng(0), options.pictures + QUERIES, BITS)
    codes, queries = codes[QUERIES:], codes[:QUERIES]
    local = CollectionIndex(BITS, hash_from=0)
    local.load(np.arange(1, len(codes) + 1), codes, 1)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        address = EngineAddress(
            options.url or f"chdb://{folder}", "lookalike_benchmark", threads=options.threads, deadline_s=60
        )
        connection = EngineConnection(address)
        stack.callback(connection.close)
        connection.command(f"DROP DATABASE IF EXISTS {connection.database}")
        migrate(connection)
        remote, cpu_s = fill(connection, codes, options.changed)
        print(f"{len(codes):,} codes; {1e6 * cpu_s / len(codes):.1f} µs of CPU time to write one to ClickHouse")
        scans: dict[str, tuple[Search, int | None]] = {
            "local scan": (lambda query: local.view().search(query, K), None),
            "ClickHouse": (lambda query: remote.view().search(query, K), None),
        }
        if options.pgvector is not None:
            scans["pgvector, exact"] = stack.enter_context(pgvector(options.pgvector or None, codes))
        for query in queries:
            first, *others = [scan(query) for scan, _ in scans.values()]
            for other in others:
                assert first.numbers.tolist() == other.numbers.tolist()
        for name, (scan, pid) in scans.items():
            cpu, wall = measure(scan, queries, pid)
            print(f"{name:16} cpu {cpu:8.2f} ms   wall {wall:8.2f} ms", flush=True)
        print(f"load of the machine {os.getloadavg()[0]:.1f}")


def fill(connection: EngineConnection, codes: np.ndarray, changed: int) -> tuple[RemoteIndex, float]:
    """Write all codes, and some again as replaced pictures with the same code; return the CPU seconds, too."""
    started = time.process_time()
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
    return RemoteIndex.open(connection, generation, 2, BITS), time.process_time() - started


def rows_of(codes: np.ndarray, rows: range, added: int) -> PictureRows:
    """Return pictures with one of three brands."""
    return PictureRows(
        numbers=[row + 1 for row in rows],
        codes=[codes[row].tobytes() for row in rows],
        added=[added] * len(rows),
        terms=[[f"brand\0s:{row % 3}"] for row in rows],
        ranges=[[] for _ in rows],
    )


@contextlib.contextmanager
def pgvector(url: str | None, codes: np.ndarray) -> Iterator[tuple[Search, int]]:
    """Load the codes into Postgres; yield its exact search, and the process id of its backend."""
    with postgres(url) as own, psycopg.connect(own, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute("DROP TABLE IF EXISTS benchmark_codes")
        # Frozen rows of an unlogged table: nothing is written twice, and no search writes hint bits.
        with connection.transaction():
            connection.execute(f"CREATE UNLOGGED TABLE benchmark_codes (number bigint, code bit({BITS}))")
            copied = "COPY benchmark_codes FROM STDIN WITH (FORMAT binary, FREEZE)"
            with connection.cursor().copy(copied) as copy:
                copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
                for start in range(0, len(codes), BATCH):
                    copy.write(binary_rows(codes, start, min(start + BATCH, len(codes))))
                copy.write(b"\xff\xff")
        connection.execute("ANALYZE benchmark_codes")
        connection.execute("SET max_parallel_workers_per_gather = 0")

        def search(query: np.ndarray) -> Neighbours:
            distance = f"code <~> %s::bit({BITS})"
            rows = connection.execute(
                f"SELECT number, {distance} AS d FROM benchmark_codes ORDER BY d, number LIMIT {K}",
                (text_of(query),),
            ).fetchall()
            return Neighbours(np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.int32))

        try:
            yield search, connection.info.backend_pid
        finally:
            connection.execute("DROP TABLE benchmark_codes")


def binary_rows(codes: np.ndarray, start: int, end: int) -> bytes:
    """Return rows of (number, code) in Postgres's binary format of COPY."""
    octets = codes.shape[1] * 8
    numbers = [("fields", ">i2"), ("size", ">i4"), ("number", ">i8"), ("length", ">i4"), ("bits", ">i4")]
    rows = np.empty(end - start, np.dtype([*numbers, ("code", np.uint8, (octets,))]))
    rows["fields"], rows["size"], rows["length"], rows["bits"] = 2, 8, 4 + octets, BITS
    rows["number"] = np.arange(start + 1, end + 1)
    rows["code"] = codes[start:end].view(np.uint8).reshape(-1, octets)
    return rows.tobytes()


def text_of(code: np.ndarray) -> str:
    """Return a code as text of ones and zeros, in the order of ``binary_rows``."""
    return "".join(map(str, np.unpackbits(code.view(np.uint8)).tolist()))


def measure(scan: Search, queries: np.ndarray, pid: int | None) -> tuple[float, float]:
    """Return the CPU and wall milliseconds of a query, with the CPU time of process ``pid`` as well.

    Wall times are medians; so are CPU times, but those of another process are means, as the kernel counts them
    in hundredths of a second.
    """
    cpu, wall = [], []
    before = spent_s(pid)
    for query in queries:
        started = time.process_time(), time.perf_counter()
        scan(query)
        cpu.append(time.process_time() - started[0])
        wall.append(time.perf_counter() - started[1])
    beside = (spent_s(pid) - before) / len(queries)
    return 1e3 * (float(np.median(cpu)) + beside), 1e3 * float(np.median(wall))


def spent_s(pid: int | None) -> float:
    """Return the CPU seconds of another process; 0 without one."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
