"""Memory, disk and milliseconds of collections of several sizes, and the table of docs/sizing.md.

Codes are made up: clustered as those of pictures are (see ``search_codes.clustered``).

- Measured for each size and code length, in its own process: memory that the index adds, bytes of its
  snapshot, and the time of a search for the 20 nearest in it, without HTTP, decoding and encoding.
- Measured once for each code length: bytes of the SQLite database for a picture, from ``--rows`` rows as the
  service writes them (code, descriptor of 192 bytes, two metadata values).
- Measured on the sample gallery: bytes of a thumbnail of 256 pixels.
- Computed: bytes of the database, of thumbnails and of files for each size, by multiplication.

    python benchmarks/sizing.py [--sizes 10000 100000 1000000 10000000] [--rows 50000] [--json FILE]
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from search_codes import clustered

from app.bootstrap import open_serving
from app.domain.codes import codes_to_bytes
from app.domain.ids import sha256_hex
from app.domain.images import ImageCode, NewImage
from app.images.decoding import decode_in_process
from app.images.sniff import Limits
from app.images.thumbnails import make_thumbnail
from app.index.collection_index import CollectionIndex
from app.index.warm_up import warm_up
from app.samples import samples
from app.settings import Settings
from app.telemetry.logging import configure_logging
from app.telemetry.process import resident_bytes

MODELS = {64: "lite2-64", 256: "lite2-256"}
SEARCHES = 200
RESULTS = 20
BATCH = 2_000
FILE_BYTES = 150_000
"""Assumed bytes of a file, where a collection keeps copies; yours may have a tenth or ten times as much."""


@dataclass(frozen=True, slots=True)
class IndexSize:
    """One index as measured."""

    pictures: int
    bits: int
    memory_bytes: int
    """Resident memory that loading it, its tables and the searches added."""
    index_bytes: int
    """What the index itself counts, as the metric ``lookalike_index_bytes`` does."""
    snapshot_bytes: int
    p50_ms: float
    p99_ms: float


def write_snapshot(folder: Path, pictures: int, bits: int) -> None:
    """Write the snapshot of an index of made-up codes, and queries near them."""
    codes, _ = clustered(np.random.default_rng(pictures), pictures + SEARCHES, bits)
    index = CollectionIndex(bits)
    index.load(np.arange(pictures), codes[:pictures], 1)
    index.save(folder / "index", "sizing")
    np.save(folder / "queries.npy", codes[pictures:])


def measure_index(folder: Path, pictures: int, bits: int) -> IndexSize:
    """Open an index as a start of the service does, build its tables if it wants any, and search it."""
    queries = np.load(folder / "queries.npy")
    warm_up()
    before = resident_bytes()
    index = CollectionIndex.open(folder / "index", bits, "sizing")
    for _ in range(2):
        # Recent searches decide whether tables help.
        took = [search_ms(index, query) for query in queries]
        if not index.wants_engines:
            break
        index.build_engines()
    memory, snapshot = resident_bytes() - before, (folder / "index").stat().st_size
    p50, p99 = np.percentile(took, [50, 99])
    return IndexSize(
        pictures, bits, memory, index.view().nbytes, snapshot, round(float(p50), 3), round(float(p99), 3)
    )


def search_ms(index: CollectionIndex, query: np.ndarray) -> float:
    """Return the milliseconds of one search."""
    start = time.perf_counter()
    index.view().search(query, RESULTS)
    return 1e3 * (time.perf_counter() - start)


async def database_bytes(bits: int, rows: int) -> float:
    """Return the bytes of the SQLite database for a picture, beyond those of an empty one."""
    model = MODELS[bits]
    codes = codes_to_bytes(clustered(np.random.default_rng(1), rows, bits)[0], bits)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), default_model=model, sqlite_synchronous="NORMAL")
        file = Path(folder) / "lookalike.db"
        async with open_serving(settings):
            pass
        empty = file.stat().st_size
        async with open_serving(settings) as services:
            async with services.database.read() as unit:
                record = await unit.collections.get("default")
            for start in range(0, rows, BATCH):
                async with services.database.write() as writing:
                    await writing.images.add(record.pk, list(new_images(model, codes, start, BATCH)))
        # Closing has moved the write-ahead log into the file.
        return (file.stat().st_size - empty) / rows


def new_images(model: str, codes: list[bytes], start: int, count: int) -> Iterator[NewImage]:
    """Rows as imports write them."""
    rng = np.random.default_rng(start)
    for position, code in enumerate(codes[start : start + count], start):
        descriptor = rng.integers(-100, 100, 192, dtype=np.int8).tobytes()
        yield NewImage(
            image_id=f"product-{position:08}",
            sha256=sha256_hex(str(position).encode()),
            uri=f"shop/{position % 100}/{position}.jpg",
            metadata={"label": f"kind {position % 200}", "year": 1985 + position % 40},
            width=1200,
            height=900,
            media_type="image/jpeg",
            size_bytes=FILE_BYTES,
            has_bytes=True,
            codes=(ImageCode(model, code, descriptor),),
        )


def thumbnail_bytes() -> float:
    """Return the mean bytes of a thumbnail of 256 pixels over the photographs of the sample gallery."""
    pictures = [sample.read() for sample in samples()]
    sizes = [len(make_thumbnail(decode_in_process(content, Limits()).pixels, 256)) for content in pictures]
    return statistics.fmean(sizes)


def in_own_process(pictures: int, bits: int) -> IndexSize:
    """Measure an index in a process that did not make its codes, whose memory would count."""
    with tempfile.TemporaryDirectory() as folder:
        for step in ("--make", "--measure"):
            command = [sys.executable, __file__, step, folder, str(pictures), str(bits)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
    return IndexSize(**json.loads(done.stdout.splitlines()[-1]))


def shown(size: float) -> str:
    """Return a number of bytes in decimal units."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size:.0f} bytes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--bits", type=int, nargs="+", default=[64, 256], choices=list(MODELS))
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--json", type=Path)
    for step in ("--make", "--measure"):
        parser.add_argument(step, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    configure_logging("console", "warning")
    if options.make:
        folder, pictures, bits = options.make
        write_snapshot(Path(folder), int(pictures), int(bits))
        return
    if options.measure:
        folder, pictures, bits = options.measure
        print(json.dumps(asdict(measure_index(Path(folder), int(pictures), int(bits)))))
        return
    thumbnail = thumbnail_bytes()
    rows = {bits: asyncio.run(database_bytes(bits, options.rows)) for bits in options.bits}
    print(f"a thumbnail of 256 pixels: {thumbnail:,.0f} bytes")
    for bits, size in rows.items():
        print(f"a picture in the database at {bits} bits: {size:,.0f} bytes")
    print("\n| Pictures | Bits | Memory | Search, median | 99 % | Snapshot | Database | Thumbnails | Files |")
    print("|---|---|---|---|---|---|---|---|---|")
    sizes = []
    for pictures in options.sizes:
        for bits in options.bits:
            one = in_own_process(pictures, bits)
            sizes.append(asdict(one))
            cells = [
                f"{pictures:,}",
                str(bits),
                shown(one.memory_bytes),
                f"{one.p50_ms:.2f} ms",
                f"{one.p99_ms:.2f} ms",
            ]
            disk = [one.snapshot_bytes, rows[bits] * pictures, thumbnail * pictures, FILE_BYTES * pictures]
            print("| " + " | ".join([*cells, *map(shown, disk)]) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"thumbnail": thumbnail, "rows": rows, "indexes": sizes}, indent=1))


if __name__ == "__main__":
    main()
