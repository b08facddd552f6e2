"""Measure the cost of a start: codes from a snapshot or from rows, and the first answer of a new process."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from search_codes import uniform
from search_report import Row
from sqlalchemy.ext.asyncio import create_async_engine

from app.domain.codes import codes_from_bytes, codes_to_bytes, words_for
from app.index.collection_index import CollectionIndex
from app.store.pictures.codes import CodeReader
from app.store.schema.tables import codes as codes_table

ROOT = Path(__file__).resolve().parent.parent
OWNER = "benchmark"
ROUNDS = 3
FIRST_ANSWER = """
import sys, time
from pathlib import Path
import numpy as np
from app.index.collection_index import CollectionIndex
from app.index.warm_up import warm_up
warm_up()
index = CollectionIndex.open(Path(sys.argv[1]), 64, "benchmark")
index.view().search(np.zeros(1, np.uint64), 10)
print(time.process_time())
"""


def measure_starts(*, full: bool) -> Iterator[Row]:
    """CPU milliseconds of each way to load codes, up to the first answer."""
    sizes = (
        [(1_000_000, 64), (1_000_000, 256), (10_000_000, 64), (10_000_000, 256)] if full else [(200_000, 64)]
    )
    rng = np.random.default_rng(5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n, bits in sizes:
            codes = uniform(rng, n, bits)
            index = CollectionIndex(bits)
            index.load(np.arange(n), codes, 1)
            path = folder / "codes.index"
            index.save(path, OWNER)
            ways: dict[str, Callable[[], None]] = {
                "start: snapshot to first answer": lambda path=path, bits=bits: from_snapshot(path, bits)
            }
            if n <= 1_000_000:
                database = folder / f"{n}-{bits}.db"
                fill(database, codes, bits)
                ways["start: rows one by one"] = lambda d=database, bits=bits: from_rows(d, bits)
                ways["start: rows as the service reads them"] = lambda d=database, bits=bits: as_served(d, bits)
            for way, act in ways.items():
                times = [cpu_ms(act) for _ in range(ROUNDS)]
                p50, most = float(np.median(times)), max(times)
                yield Row(
                    way, n, bits, 10, "uniform", 1, round(p50, 2), round(most, 2), True, 8 * words_for(bits) + 8
                )
        if full:
            yield from measure_processes(folder)


def measure_processes(folder: Path) -> Iterator[Row]:
    """A new process until its first answer, with and without cached kernels."""
    path, n = folder / "small.index", 60_000
    index = CollectionIndex(64)
    index.load(np.arange(n), uniform(np.random.default_rng(6), n, 64), 1)
    index.save(path, OWNER)
    cold = [fresh_process(path, tempfile.mkdtemp(dir=folder)) for _ in range(2)]
    kept = tempfile.mkdtemp(dir=folder)
    fresh_process(path, kept)
    warm = [fresh_process(path, kept) for _ in range(5)]
    for name, times in (("start: process, kernels cached", warm), ("start: process, nothing cached", cold)):
        yield Row(
            name, n, 64, 10, "uniform", 1, round(float(np.median(times)), 1), round(max(times), 1), True, 16
        )


def fresh_process(snapshot: Path, kernels: str) -> float:
    environment = os.environ | {"NUMBA_CACHE_DIR": kernels, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FIRST_ANSWER, str(snapshot)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout) * 1e3


def cpu_ms(act: Callable[[], None]) -> float:
    began = time.process_time()
    act()
    return (time.process_time() - began) * 1e3


def from_snapshot(path: Path, bits: int) -> None:
    index = CollectionIndex.open(path, bits, OWNER)
    index.view().search(np.zeros(words_for(bits), np.uint64), 10)


def fill(database: Path, codes: np.ndarray, bits: int) -> None:
    """The service's own table, filled as the service fills it."""
    engine = sa.create_engine(f"sqlite:///{database}")
    codes_table.create(engine)
    engine.dispose()
    octets, size = codes_to_bytes(codes, bits), bits // 8
    rows = ((1, "model", i, octets[i]) for i in range(len(codes)))
    with sqlite3.connect(database) as connection:
        connection.executemany("INSERT INTO codes VALUES (?, ?, ?, ?)", rows)
    assert len(octets[0]) == size


def from_rows(database: Path, bits: int) -> None:
    """One row after the other, the naive way."""
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT number, code FROM codes WHERE collection_pk = 1 ORDER BY number")
        numbers, parts = zip(*rows, strict=True)
    answer(np.array(numbers), codes_from_bytes(b"".join(parts), bits), bits)


def as_served(database: Path, bits: int) -> None:
    async def load() -> tuple[np.ndarray, np.ndarray]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{database}")
        async with engine.connect() as connection:
            loaded = await CodeReader(connection).load_codes(1, "model", bits)
        await engine.dispose()
        return loaded

    answer(*asyncio.run(load()), bits)


def answer(numbers: np.ndarray, codes: np.ndarray, bits: int) -> None:
    index = CollectionIndex(bits)
    index.load(numbers, codes, 1)
    index.view().search(codes[0], 10)
