"""Searches of a large collection end to end, without HTTP and encoding: index, filters, database, paging.

The pictures are rows written by the store's own writers (codes in clusters, descriptors, perceptual hashes,
metadata), without files. A filter's first use reads the matching numbers from the database; its repeats come
from the bitmap that the index keeps, also after a write, which reaches the bitmap through the feed. Peers in
the same run: the same search without a filter, and the same filter decided by the database alone. Wall and CPU
milliseconds, medians.

    python benchmarks/collection.py [--pictures 1000000] [--url postgresql://…] [--data-dir DIR] [--json FILE]
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from app.bootstrap import ServingServices, open_serving
from app.domain.codes import codes_to_bytes, pack_signs
from app.domain.filters import parse_filter
from app.domain.ids import sha256_hex
from app.domain.images import ImageCode, NewImage
from app.domain.perceptual import HASH_BITS
from app.domain.ranks import Rank
from app.domain.results import SearchLimits
from app.settings import Settings
from app.telemetry.logging import configure_logging

PIECE = 2_000
REPEATS = 40
FILTERS: dict[str, dict[str, Any]] = {
    "one shop in two": {"must": [{"key": "half", "match": 0}]},
    "one brand in ten": {"must": [{"key": "shop", "match": "shop 3"}]},
    "one in a hundred": {"must": [{"key": "brand", "match": "brand 42"}]},
    "a range of a tenth": {"must": [{"key": "year", "range": {"gte": 2000, "lt": 2004}}]},
    "two conditions": {
        "must": [{"key": "shop", "match": "shop 5"}, {"key": "year", "range": {"gte": 2010}}],
        "must_not": [{"key": "brand", "match": "brand 25"}],
    },
    "all but one in a hundred": {"must": [], "must_not": [{"key": "brand", "match": "brand 7"}]},
}


def new_images(model: str, bits: int, start: int, count: int) -> Iterator[NewImage]:
    """Pictures in a thousand clusters; equal positions give equal pictures."""
    rng = np.random.default_rng(start)
    centres = np.random.default_rng(1).standard_normal((1_000, 24), dtype=np.float32)
    projection = np.random.default_rng(2).standard_normal((24, bits), dtype=np.float32)
    z = centres[rng.integers(0, 1_000, count)] + 0.45 * rng.standard_normal((count, 24), dtype=np.float32)
    codes = codes_to_bytes(pack_signs(z @ projection), bits)
    descriptors = rng.integers(-100, 100, (count, 192), dtype=np.int8)
    hashes = rng.integers(0, 256, (count, HASH_BITS // 8), dtype=np.uint8)
    for i in range(count):
        position = start + i
        yield NewImage(
            image_id=f"p{position}",
            sha256=sha256_hex(str(position).encode()),
            uri=f"shop/{position}.jpg",
            metadata={
                "half": position % 2,
                "shop": f"shop {position % 10}",
                "brand": f"brand {position * 7919 % 100}",
                "year": 1985 + position * 31 % 40,
            },
            width=640,
            height=480,
            media_type="image/jpeg",
            size_bytes=84_213,
            has_bytes=False,
            codes=(ImageCode(model, codes[i], descriptors[i].tobytes()),),
            perceptual_hash=hashes[i].tobytes(),
        )


async def fill(services: ServingServices, pictures: int) -> int:
    """Create the collection if it is missing, and return its key."""
    async with services.database.read() as unit:
        record = await unit.collections.get("default")
        model = await unit.models.get(record.model)
        have = await unit.images.count(record.pk)
    for start in range(have, pictures, PIECE):
        new = list(new_images(record.model, model.bits, start, min(PIECE, pictures - start)))
        async with services.database.write() as writing:
            await writing.images.add(record.pk, new)
    return record.pk


async def timed(work: Callable[[], Awaitable[Any]], repeats: int = 1) -> tuple[Any, float, float]:
    """Return the last result, and median wall and CPU milliseconds."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = await work()
        walls.append(1e3 * (time.perf_counter() - wall))
        cpus.append(1e3 * (time.process_time() - cpu))
    return result, float(np.median(walls)), float(np.median(cpus))


async def measure(settings: Settings, pictures: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def note(what: str, wall: float, cpu: float, **more: Any) -> None:
        rows.append({"what": what, "wall_ms": round(wall, 2), "cpu_ms": round(cpu, 2), **more})
        print(" ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)

    for source in ("the database", "a snapshot"):
        async with open_serving(settings) as services:
            if source == "the database":
                _, wall, cpu = await timed(lambda: fill(services, pictures))
                note("pictures written", wall, cpu)
            _, wall, cpu = await timed(services.load)
            note(f"loaded from {source}", wall, cpu)
    async with open_serving(settings) as services:
        await services.load()
        await searches(services, note)
    return rows


async def searches(services: ServingServices, note: Callable[..., None]) -> None:
    live = services.index_sync.catalogue.collection("default")
    pk, pictures = live.record.pk, live.index.view().count
    position = iter(range(1_000, 10**9, 997))

    async def search(**limits: Any) -> Any:
        image_id = f"p{next(position) % pictures}"
        return await services.search.by_image(image_id, "default", SearchLimits(**limits))

    await search()
    for what, limits in {
        "20 nearest": {},
        "1,000 nearest": {"limit": 1_000},
        "20 by descriptors": {"rank": Rank.DESCRIPTOR},
    }.items():
        found, wall, cpu = await timed(lambda limits=limits: search(**limits), REPEATS)
        note(what, wall, cpu, stages={k: round(v, 2) for k, v in found.took_ms.items()})
    ids = [f"p{i * 1_009 % pictures}" for i in range(64)]
    _, wall, cpu = await timed(lambda: services.batch_search.many(ids, "default", SearchLimits()), 5)
    note("64 queries at once", wall, cpu)
    for name, document in FILTERS.items():
        limits = {"filter": parse_filter(document), "filter_document": document}
        found, wall, cpu = await timed(lambda limits=limits: search(**limits))
        note(f"{name}: first use", wall, cpu, allowed=found.index.searched)
        _, wall, cpu = await timed(lambda limits=limits: search(**limits), REPEATS)
        note(f"{name}: repeated", wall, cpu)

        async def by_database(wanted: Any = limits["filter"]) -> Any:
            async with services.database.read() as unit:
                return await unit.images.numbers_matching(pk, wanted)

        _, wall, cpu = await timed(by_database, 3)
        note(f"{name}: numbers from the database", wall, cpu)

    async def patch() -> None:
        number = live.index.view().sample_numbers(1)[0]
        async with services.database.write() as unit:
            await unit.images.patch(pk, int(number), metadata={"shop": "shop 3"}, uri=None)
        await services.index_sync.follower.catch_up(unit.last_change)

    _, wall, cpu = await timed(patch, 10)
    note("a change of metadata, until every kept filter knows it", wall, cpu)
    found, wall, cpu = await timed(lambda: search(**limits), REPEATS)
    note(f"{name}: repeated after writes", wall, cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--url")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    configure_logging("console", "warning")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            data_dir=options.data_dir or Path(folder), database_url=options.url, sqlite_synchronous="NORMAL"
        )
        rows = asyncio.run(measure(settings, options.pictures))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
