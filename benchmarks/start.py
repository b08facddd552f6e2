"""Measure the cost of a start: the snapshot beside database rows, with the same codes, in one process.

Peers in the same run: the rows fetched one by one by the plain sqlite3 driver, and numpy's own file of the same
codes. CPU times are of the process, all threads; wall times are given too, since another process may have the
other core. The first answer is one exact search for ten neighbours, after the kernels are compiled.

    python benchmarks/start.py [--codes 10000000] [--bits 64 256] [--json FILE]
"""

import argparse
import asyncio
import gc
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.codes import codes_to_bytes, words_for
from app.index.collection_index import CollectionIndex
from app.index.warm_up import warm_up
from app.store.engine import Database
from app.store.schema.migrate import upgrade

ROOT = Path(__file__).resolve().parent.parent
PIECE = 250_000


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result of some work, its CPU seconds and its wall seconds."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def fill(path: Path, n: int, bits: int) -> np.ndarray:
    """Create a migrated database of ``n`` random codes; return the codes, shape (n, words)."""
    upgrade(f"sqlite:///{path}", ROOT / "migrations")
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**64, (n, words_for(bits)), dtype=np.uint64)

    def rows() -> Iterator[tuple[int, str, int, bytes]]:
        for start in range(0, n, PIECE):
            for i, octets in enumerate(codes_to_bytes(codes[start : start + PIECE], bits), start):
                yield (1, "model", 2 * i, octets)

    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        insert = "INSERT INTO codes (collection_pk, model, number, code) VALUES (?,?,?,?)"
        connection.executemany(insert, rows())
        connection.execute("COMMIT")
    connection.close()
    return codes


def from_rows(path: Path, bits: int) -> CollectionIndex:
    """Load as the service does without a snapshot."""

    async def load() -> tuple[np.ndarray, np.ndarray]:
        database = Database.open(f"sqlite:///{path}")
        try:
            async with database.read() as unit:
                return await unit.images.load_codes(1, "model", bits)
        finally:
            await database.close()

    index = CollectionIndex(bits)
    index.load(*asyncio.run(load()), 1)
    return index


def row_by_row(path: Path) -> int:
    """Load through the plain driver, one tuple per code."""
    with sqlite3.connect(path) as connection:
        count = len(connection.execute("SELECT number, code FROM codes ORDER BY number").fetchall())
    connection.close()
    return count


def first_answer(index: CollectionIndex, query: np.ndarray) -> list[int]:
    return index.view().search(query, 10).numbers.tolist()


def measure(folder: Path, n: int, bits: int) -> Iterator[dict[str, Any]]:
    database, snapshot, plain = folder / f"{bits}.db", folder / f"{bits}.index", folder / f"{bits}.npy"
    codes = fill(database, n, bits)
    query = codes[n // 2] ^ np.uint64(5)
    np.save(plain, codes)
    del codes

    def row(engine: str, cpu_s: float, wall_s: float) -> dict[str, Any]:
        return {"engine": engine, "n": n, "bits": bits, "cpu_s": round(cpu_s, 3), "wall_s": round(wall_s, 3)}

    index, cpu, wall = timed(lambda: from_rows(database, bits))
    expected = first_answer(index, query)
    yield row("codes from the database", cpu, wall) | {"codes_per_cpu_s": round(n / cpu)}
    _, cpu, wall = timed(partial(index.save, snapshot, "owner"))
    yield row("snapshot written", cpu, wall)
    del index
    _, cpu, wall = timed(lambda: row_by_row(database))
    yield row("rows by the plain driver", cpu, wall)
    _, cpu, wall = timed(lambda: np.load(plain))
    yield row("numpy file read", cpu, wall)
    found, cpu, wall = timed(lambda: first_answer(CollectionIndex.open(snapshot, bits, "owner"), query))
    assert found == expected
    yield row("snapshot opened, first answer", cpu, wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--codes", type=int, default=10_000_000)
    parser.add_argument("--bits", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warm_up()
    rows = []
    for bits in options.bits:
        with tempfile.TemporaryDirectory() as folder:
            for row in measure(Path(folder), options.codes, bits):
                rows.append(row)
                print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
