"""Find the rate of pictures at which one Postgres stops growing, by writers whose encoder costs nothing.

Simulated workers prepare and write batches as real ones do; only decoding and encoding are replaced by a wait
(``--encode-ms`` a picture, as on another machine) and made-up codes. Each says how long it waits for its turn
to write, and how long it holds it. Turns exclude each other across all machines, so the pictures of a turn,
divided by its time, are the bound, whatever the number of workers. At the end, a serving process follows the
feed.

    python benchmarks/write_bound.py [--workers 1 2 4 8 16] [--seconds 8] [--encode-ms 10] [--url URL]
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.bootstrap import open_serving, open_worker
from app.domain.duplicates import OnDuplicate
from app.encoding.artifact import Artifact
from app.encoding.encoder import EncoderOutput
from app.encoding.preprocess import Preprocessing, prepare
from app.services.pictures.coding import StoredCode
from app.services.pictures.preparing import PictureToAdd, write_prepared
from app.settings import Settings
from benchmarks.postgres import database_bytes, postgres

BATCH = 128
"""Pictures in a transaction, as in imports."""
FILE_BYTES = 4_000
IDLE_S = 30.0
"""Time without a change after which the follower ends; the writers take a while to start."""


class InstantEncoder:
    """Stands for a network: nothing is encoded, as every picture comes with its code."""

    def __init__(self, artifact: Artifact) -> None:
        self.name, self.bits, self.digest = artifact.name, artifact.bits, artifact.digest
        self.input_size, self.descriptor_dim = 32, None

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See ``Encoder``."""
        return prepare(pixels, Preprocessing(self.input_size))

    def encode(self, batch: NDArray[np.uint8]) -> EncoderOutput:
        """See ``Encoder``."""
        return EncoderOutput(np.zeros((len(batch), self.bits), np.float32), None)


def settings_of(folder: Path, url: str, name: str) -> Settings:
    return Settings(
        data_dir=folder / name,
        database_url=url,
        pictures_url=(folder / "store").as_uri(),
        decode_children=1,
        snapshot_interval_s=3_600.0,
    )


def made_up(rng: np.random.Generator, worker: int, start: int, bits: int, model: str) -> list[PictureToAdd]:
    pictures = []
    for i in range(BATCH):
        content = rng.bytes(FILE_BYTES)
        code = StoredCode(
            model=model,
            sha256=rng.bytes(32).hex(),
            width=640,
            height=480,
            media_type="image/jpeg",
            code_bytes=rng.bytes(bits // 8),
            descriptor=rng.bytes(192),
            is_blank=False,
            hash_bytes=rng.bytes(32),
            colours=rng.bytes(64),
        )
        pictures.append(
            PictureToAdd(
                content, image_id=f"w{worker}-{start + i}", metadata={"label": f"kind {i % 50}", "n": i},
                known_code=code,
            )
        )  # fmt: skip
    return pictures


async def write_all(
    settings: Settings, number: int, encode_ms: float, seconds: float, start: Barrier
) -> list[float]:
    """Write batches for some seconds, once every writer is ready.

    Returns:
        The pictures; seconds to prepare, to wait for turns, and in turns; CPU seconds in turns, and in all.
    """
    rng = np.random.default_rng((number, int(time.time())))
    first = int(rng.integers(1 << 40))
    total = np.zeros(6)
    async with open_worker(settings, make_encoder=InstantEncoder) as services:
        async with services.database.read() as unit:
            collection = await unit.collections.get("default")
        assert collection is not None
        bits = (await services.models.serving(collection.model)).encoder.bits
        await asyncio.to_thread(start.wait)
        cpu, begun_at = time.process_time(), time.monotonic()
        while time.monotonic() - begun_at < seconds:
            pictures = made_up(rng, number, first, bits, collection.model)
            first += BATCH
            await asyncio.sleep(encode_ms * BATCH / 1e3)
            begun = time.perf_counter()
            prepared = await services.preparation.prepare(collection, pictures, OnDuplicate.SKIP)
            asked = time.perf_counter()
            async with services.database.write() as unit:
                turn, turn_cpu = time.perf_counter(), time.process_time()
                await write_prepared(unit, collection.pk, prepared, OnDuplicate.SKIP)
            in_turn = time.perf_counter() - turn, time.process_time() - turn_cpu
            total[:5] += BATCH, asked - begun, turn - asked, *in_turn
        total[5] = time.process_time() - cpu
    return total.tolist()


def writer(
    settings: Settings,
    number: int,
    encode_ms: float,
    seconds: float,
    start: Barrier,
    results: "Queue[list[float]]",
) -> None:
    results.put(asyncio.run(write_all(settings, number, encode_ms, seconds, start)))


async def follow(settings: Settings) -> tuple[int, float]:
    """Load an index, let the caller know, and follow the feed; return changes and CPU seconds."""
    async with open_serving(settings, make_encoder=InstantEncoder) as services:
        await services.load()
        first, cpu, idle_since = services.index_sync.reached_change(), time.process_time(), time.monotonic()
        begun = first
        while time.monotonic() - idle_since < IDLE_S:
            await asyncio.sleep(0.1)
            reached = services.index_sync.reached_change()
            if reached != first:
                first, idle_since = reached, time.monotonic()
        return first - begun, time.process_time() - cpu


def reader(settings: Settings, results: "Queue[tuple[int, float]]") -> None:
    results.put(asyncio.run(follow(settings)))


def run(folder: Path, url: str, workers: int, seconds: float, encode_ms: float) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    results: Queue[list[float]] = context.Queue()
    start = context.Barrier(workers)
    processes = [
        context.Process(
            target=writer, args=(settings_of(folder, url, f"w{i}"), i, encode_ms, seconds, start, results)
        )
        for i in range(workers)
    ]
    size = database_bytes(url)
    for process in processes:
        process.start()
    totals = np.array([results.get() for _ in processes])
    for process in processes:
        process.join()
    pictures, prepared, waited, held, held_cpu, cpu = map(float, totals.sum(axis=0))
    turns = pictures / BATCH
    return {
        "workers": workers,
        "pictures": int(pictures),
        "prepare_ms": prepared / turns * 1e3,
        "wait_ms": waited / turns * 1e3,
        "turn_ms": held / turns * 1e3,
        "turn_cpu_ms": held_cpu / turns * 1e3,
        "bound_per_s": pictures / held,
        "writer_cpu_ms": cpu / pictures * 1e3,
        "database_bytes": (database_bytes(url) - size) / pictures,
        "machine_load": os.getloadavg()[0],
    }


def feed_cost(folder: Path, url: str, seconds: float) -> dict[str, float]:
    """Let one process follow the feed while two write."""
    context = multiprocessing.get_context("spawn")
    results: Queue[tuple[int, float]] = context.Queue()
    process = context.Process(target=reader, args=(settings_of(folder, url, "reader"), results))
    process.start()
    run(folder, url, 2, seconds, 0.0)
    changes, cpu = results.get()
    process.join()
    return {"changes": changes, "follower_cpu_ms": cpu / max(1, changes) * 1e3}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--encode-ms", type=float, default=10.0)
    parser.add_argument("--url", help="an empty Postgres database, postgresql+psycopg://…")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        url = stack.enter_context(postgres(options.url))
        folder = Path(scratch)

        async def make_schema() -> None:
            async with open_serving(settings_of(folder, url, "first"), make_encoder=InstantEncoder):
                pass

        asyncio.run(make_schema())
        for workers in options.workers:
            results.append(run(folder, url, workers, options.seconds, options.encode_ms))
            print({name: round(value, 2) for name, value in results[-1].items()}, flush=True)
        results.append(feed_cost(folder, url, options.seconds))
        print({name: round(value, 3) for name, value in results[-1].items()})
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
