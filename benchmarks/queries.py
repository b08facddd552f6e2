"""Measure queries a second among ten million codes over HTTP: batches of 64, and one code a request.

The rows are written straight into SQLite: random codes, or clustered ones, among which hash tables find near
codes. Queries are the codes of other pictures of the same kind ("strangers"), or stored codes with six flipped
bits ("near"), as a hash matcher sends them. Clients send each kind of request for some seconds.

``cpu_ms`` is the CPU time of the server per query, read from the kernel; ``per_core_s`` is its reciprocal,
which other work on the machine disturbs little. ``wall_s`` is the number of queries per second of wall time.
The peer in the same run is faiss's flat index: batches of the same codes in one thread of this process, without
HTTP.

    python benchmarks/queries.py [--codes 10000000] [--bits 64 256] [--processes 1] [--json FILE]
"""

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from request_cost import cpu_ms, serving
from search_codes import clustered, uniform
from search_engines import as_bytes

from app.bootstrap import open_serving
from app.domain.codes import code_to_hex, codes_to_bytes
from app.settings import Settings

BATCH = 64
PIECE = 250_000
TRIALS = 512
"""Number of searches before the measurement, so that the index has decided whether it keeps tables."""
FLIPPED = 6
"""Bits in which a ``near`` query differs from a stored code."""
MODELS = {64: "lite2-64", 256: "lite2-256"}


def codes_of(kind: str, n: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes to store, shape (n, words), and 4,096 queries, none of which is stored."""
    rng = np.random.default_rng(0)
    drawn = uniform(rng, n + 4096, bits) if kind == "uniform" else clustered(rng, n + 4096, bits)[0]
    return drawn[:n], drawn[n:]


def near_queries(codes: np.ndarray, bits: int) -> np.ndarray:
    """4,096 stored codes, in each of which ``FLIPPED`` bits are flipped."""
    rng = np.random.default_rng(1)
    queries = codes[rng.integers(0, len(codes), 4096)].copy()
    for query in queries:
        for bit in rng.choice(bits, FLIPPED, replace=False).tolist():
            query[bit // 64] ^= np.uint64(1 << bit % 64)
    return queries


def fill_pictures(data_dir: Path, n: int) -> None:
    """Write ``n`` rows of pictures without files or codes, unless a former run did."""

    async def create() -> int:
        async with open_serving(Settings(data_dir=data_dir)) as services, services.database.read() as unit:
            return (await unit.collections.get("default")).pk

    pk = asyncio.run(create())
    now = "2026-11-30 00:00:00.000000"
    with database(data_dir) as connection:
        [(have,)] = connection.execute("SELECT count(*) FROM images")
        if have == n:
            return
        [(first,)] = connection.execute("SELECT value + 1 FROM change_counter")
        connection.executemany(
            "INSERT INTO images (number, collection_pk, image_id, sha256, metadata, width, height, media_type,"
            " size_bytes, has_bytes, revision, change, created_at, updated_at)"
            f" VALUES (?,{pk},?,?,'{{}}',640,480,'image/jpeg',84213,0,1,?,'{now}','{now}')",
            ((first + i, f"p{i:09}", f"{i:064x}", first + i) for i in range(n)),
        )
        connection.execute("UPDATE change_counter SET value = ?", (first + n,))


def fill_codes(data_dir: Path, model: str, codes: np.ndarray, bits: int) -> None:
    """Give the pictures these codes under ``model`` and no others, unless the last run did."""

    def rows() -> Iterator[tuple[bytes, int]]:
        for start in range(0, len(codes), PIECE):
            for i, octets in enumerate(codes_to_bytes(codes[start : start + PIECE], bits), start):
                yield octets, first + i

    kept = data_dir / "codes.sha256"
    digest = hashlib.sha256(codes.tobytes()).hexdigest()
    if kept.exists() and kept.read_text() == digest:
        return
    with database(data_dir) as connection:
        [(first, pk)] = connection.execute("SELECT min(number), min(collection_pk) FROM images")
        connection.execute("DELETE FROM codes")
        connection.executemany(
            f"INSERT INTO codes (collection_pk, model, code, number) VALUES ({pk},'{model}',?,?)", rows()
        )
        connection.execute("UPDATE collections SET model = ?", (model,))
        connection.execute("UPDATE change_counter SET value = value + 1, pruned = value + 1")
    shutil.rmtree(data_dir / "snapshots", ignore_errors=True)
    kept.write_text(digest)


@contextlib.contextmanager
def database(data_dir: Path) -> Iterator[sqlite3.Connection]:
    """One transaction by the plain driver."""
    with contextlib.closing(sqlite3.connect(data_dir / "lookalike.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def measure(
    url: str, pid: int, clients: int, seconds: float, requests: list[tuple[str, bytes]], each: int
) -> dict[str, float]:
    """Send ``requests`` in turn from each of some clients; ``each`` is the number of queries of a request."""
    headers = {"Content-Type": "application/json"}

    def client(first: int, until: float) -> int:
        sent = 0
        with httpx2.Client(base_url=url, headers=headers, timeout=60) as http:
            for i in itertools.count(first):
                if time.monotonic() > until:
                    return sent
                path, body = requests[i % len(requests)]
                answer = http.post(path, content=body)
                answer.raise_for_status()
                sent += 1
        return sent

    def run(seconds: float) -> int:
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(clients) as pool:
            starts = [len(requests) * i // clients for i in range(clients)]
            return sum(pool.map(lambda start: client(start, until), starts))

    run(1.0)
    before, began = sum(map(cpu_ms, family(pid))), time.monotonic()
    queries = run(seconds) * each
    wall = time.monotonic() - began
    cpu = (sum(map(cpu_ms, family(pid))) - before) / queries
    return {"queries": queries, "cpu_ms": cpu, "per_core_s": 1e3 / cpu, "wall_s": queries / wall}


def batches(queries: np.ndarray, model: str, bits: int, limits: dict[str, int]) -> list[tuple[str, bytes]]:
    """The requests of ``POST /search/batch``."""
    named = [{"code": code_to_hex(code, bits), "model": model} for code in queries]
    bodies = [{"queries": named[i : i + BATCH], **limits} for i in range(0, len(named), BATCH)]
    return [("/search/batch", json.dumps(body).encode()) for body in bodies]


def singles(queries: np.ndarray, model: str, bits: int, limits: dict[str, int]) -> list[tuple[str, bytes]]:
    """The requests of ``POST /search``."""
    bodies = [{"code": code_to_hex(code, bits), "model": model, **limits} for code in queries]
    return [("/search", json.dumps(body).encode()) for body in bodies]


def faiss_per_core(codes: np.ndarray, queries: np.ndarray, bits: int, k: int) -> dict[str, float]:
    """Queries a CPU second of faiss's flat index in batches."""
    import faiss  # noqa: PLC0415

    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryFlat(bits)
    index.add(as_bytes(codes, bits))
    asked = as_bytes(queries, bits)
    index.search(asked[:1], k)
    rounds = []
    for i in range(3):
        before = time.process_time()
        index.search(asked[i * BATCH : (i + 1) * BATCH], k)
        rounds.append((time.process_time() - before) * 1e3 / BATCH)
    return {"cpu_ms": min(rounds), "per_core_s": 1e3 / min(rounds)}


def rows_of(options: argparse.Namespace, bits: int, kind: str, data_dir: Path) -> Iterator[dict[str, Any]]:
    """Fill a collection and measure all kinds of requests."""
    model = MODELS[bits]
    codes, strangers = codes_of(kind, options.codes, bits)
    near = near_queries(codes, bits)
    fill_codes(data_dir, model, codes, bits)
    about = {"bits": bits, "codes": kind, "n": options.codes}
    if options.peer:
        import faiss  # noqa: PLC0415

        version = f"faiss {faiss.__version__} flat"
        yield about | {"what": version, **faiss_per_core(codes, strangers, bits, 10)}
    del codes
    env = {
        "LOOKALIKE_DATA_DIR": str(data_dir),
        "LOOKALIKE_DEFAULT_MODEL": model,
        "LOOKALIKE_LOG_LEVEL": "warning",
        "LOOKALIKE_SCAN_THREADS": str(options.threads),
    }
    url = f"http://127.0.0.1:{options.port}"
    command = [sys.executable, "-m", "app.cli.main", "serve", "--port", str(options.port)]
    command += ["--processes", str(options.processes)]
    nearest, copies = {"limit": 10}, {"limit": 10, "max_distance": 8}
    for what, queries, limits in (
        ("strangers, 10 nearest", strangers, nearest),
        ("near, within 8 bits", near, copies),
    ):
        # A server of its own, because recent searches decide whether the index has hash tables.
        with serving(command, f"{url}/readyz", env) as pid:
            together = batches(queries, model, bits, limits)
            for _ in range(2):
                wait_until_idle(url, pid)
                send_all(url, together[: TRIALS // BATCH])
            wait_until_idle(url, pid)
            yield about | {"what": f"memory, {what}", "mb": sum(map(memory_mb, family(pid)))}
            figures = measure(url, pid, options.clients, options.seconds, together, BATCH)
            yield about | {"what": f"batch of 64, {what}", **figures}
            alone = singles(queries, model, bits, limits)
            figures = measure(url, pid, options.clients, options.seconds, alone, 1)
            yield about | {"what": f"one code, {what}", **figures}


def send_all(url: str, requests: list[tuple[str, bytes]]) -> None:
    """Send requests one after the other."""
    with httpx2.Client(base_url=url, headers={"Content-Type": "application/json"}, timeout=60) as http:
        for path, body in requests:
            http.post(path, content=body).raise_for_status()


def wait_until_idle(url: str, pid: int) -> None:
    """Wait until background work has begun and is done: the server uses little CPU for seven seconds."""
    httpx2.get(f"{url}/readyz").raise_for_status()
    while True:
        before = sum(map(cpu_ms, family(pid)))
        time.sleep(7)
        if sum(map(cpu_ms, family(pid))) - before < 100:
            return


def memory_mb(pid: int) -> float:
    """Memory of a process in MB, with its proportional share of shared pages."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


def main() -> None:
    """Parse arguments, measure, print."""
    # As after Ctrl-C, so that servers are stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=10_000_000)
    parser.add_argument("--bits", type=int, nargs="+", default=[64, 256], choices=sorted(MODELS))
    parser.add_argument(
        "--kinds", nargs="+", default=["uniform", "clustered"], choices=["uniform", "clustered"]
    )
    parser.add_argument("--data-dir", type=Path, help="keep the filled collections here for the next run")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="threads of a scan")
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each kind of request")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="leave out faiss")
    parser.add_argument("--port", type=int, default=8475)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data_dir = options.data_dir or Path(folder)
        fill_pictures(data_dir, options.codes)
        for bits, kind in itertools.product(options.bits, options.kinds):
            for row in rows_of(options, bits, kind, data_dir):
                rows.append(row | {"load": round(os.getloadavg()[0], 1)})
                figures = (f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
                print("  ".join(figures), flush=True)
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
