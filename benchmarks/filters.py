"""What a metadata filter costs at its first use, which asks the database, and ever after, from the kept bitmap.

The service's own tables, filled with as many pictures as asked for: a kind out of ten each, a year, and a
random 256-bit code. Wall time, as the database is another process; the least and the median of a few rounds.

    python benchmarks/filters.py [--pictures N] [--postgres URL]     the URL of an empty database
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from search_codes import uniform
from sqlalchemy.ext.asyncio import create_async_engine

from app.domain.filters import parse_filter, terms_of
from app.index.collection_index import CollectionIndex, warm_up
from app.store.images import Images
from app.store.tables import image_terms, images, metadata

BITS, K, ROUNDS, STRETCH = 256, 10, 5, 20_000
FILTERS = {
    "one kind of ten": {"must": [{"key": "kind", "match": "kind 3"}]},
    "all but one kind": {"must_not": [{"key": "kind", "match": "kind 3"}]},
    "half of the years": {"must": [{"key": "year", "range": {"gte": 1975}}]},
    "one kind and a tenth of the years": {
        "must": [{"key": "kind", "match": "kind 3"}, {"key": "year", "range": {"gte": 2015}}]
    },
}


def metadata_of(number: int) -> dict[str, object]:
    return {"kind": f"kind {number * 7919 % 10}", "year": 1925 + number * 104_729 % 100}


def fill(engine: sa.Engine, count: int) -> None:
    """Pictures and their terms as the service writes them; what a filter does not read is a constant."""
    metadata.create_all(engine)
    now = sa.func.now()
    shared = {
        "collection_pk": 1,
        "sha256": "0" * 64,
        "uri": None,
        "width": 1,
        "height": 1,
        "media_type": "image/png",
    }
    shared |= {"size_bytes": 1, "has_bytes": False, "revision": 1, "change": 1}
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(sa.text("PRAGMA foreign_keys = OFF"))
        else:
            connection.execute(sa.text("SET session_replication_role = replica"))
        for start in range(0, count, STRETCH):
            numbers = range(start, min(start + STRETCH, count))
            rows = [shared | {"number": n, "image_id": str(n), "metadata": metadata_of(n)} for n in numbers]
            connection.execute(sa.insert(images).values(created_at=now, updated_at=now), rows)
            connection.execute(sa.insert(image_terms), [row for n in numbers for row in term_rows(n)])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))


def term_rows(number: int) -> Iterator[dict[str, object]]:
    for term in terms_of(metadata_of(number)):
        yield {
            "collection_pk": 1,
            "key": term.key,
            "term": term.tagged,
            "number": number,
            "value_number": term.number,
        }


async def measure(name: str, url: str, index: CollectionIndex, queries: np.ndarray) -> None:
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        for text, document in FILTERS.items():
            wanted = parse_filter(document)
            asked, kept = [], []
            for j in range(ROUNDS):
                began = time.perf_counter()
                numbers = await Images(connection).numbers_matching(1, wanted)
                asked.append(time.perf_counter() - began)
                began = time.perf_counter()
                index.put_filter(f"{text} {j}", numbers, 1)
                kept.append(time.perf_counter() - began)
            view = index.view()
            plain, filtered = [], []
            for query in queries:
                for key, times in ((None, plain), (f"{text} 0", filtered)):
                    began = time.perf_counter()
                    view.search(query, K, filter_key=key)
                    times.append(time.perf_counter() - began)
            first = f"asked {least(asked)}, kept {least(kept)}"
            later = f"then a search {least(filtered)}, without a filter {least(plain)}"
            print(f"{name:<9} {text:<34} {len(numbers):>9,} pictures  {first}, {later}", flush=True)
    await engine.dispose()


def least(times: list[float]) -> str:
    return f"{min(times) * 1e3:8.2f} (median {np.median(times) * 1e3:.2f}) ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--postgres", metavar="URL", help="postgresql+psycopg://… of an empty database")
    arguments = parser.parse_args()
    warm_up()
    codes = uniform(np.random.default_rng(0), arguments.pictures + 32, BITS)
    index = CollectionIndex(BITS)
    index.load(np.arange(arguments.pictures), codes[32:], 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.db"
        urls = {"SQLite": (f"sqlite:///{path}", f"sqlite+aiosqlite:///{path}")}
        if arguments.postgres:
            urls["Postgres"] = (arguments.postgres, arguments.postgres)
        for name, (filled, read) in urls.items():
            engine = sa.create_engine(filled)
            fill(engine, arguments.pictures)
            engine.dispose()
            asyncio.run(measure(name, read, index, codes[:32]))


if __name__ == "__main__":
    main()
