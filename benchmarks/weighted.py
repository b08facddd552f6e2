"""Compare the scan by weighted bits with the Hamming scan: one process, one thread, same codes, in turns.

Times are CPU times of this process, each query's the least of a few rounds; compare ratios within one run.

    python benchmarks/weighted.py [--count N] [--bits 64 256] [--json FILE]
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from search_codes import clustered, uniform

from app.index.collection_index import CollectionIndex
from app.index.warm_up import warm_up
from app.index.weighted import BitWeights, search_weighted

QUERIES = 16
ROUNDS = 5
K = 21


def cpu_ms(work: Callable[[int], Any]) -> np.ndarray:
    """CPU milliseconds of each query, shape (QUERIES,)."""
    took = np.empty(QUERIES)
    for i in range(QUERIES):
        began = time.process_time()
        work(i)
        took[i] = 1e3 * (time.process_time() - began)
    return took


def measure(bits: int, count: int, kind: str) -> dict[str, Any]:
    rng = np.random.default_rng(bits)
    codes = uniform(rng, count, bits) if kind == "uniform" else clustered(rng, count, bits)[0]
    index = CollectionIndex(bits, hash_from=0)
    index.load(np.arange(count), codes, 1)
    index.put_filter("tenth", np.arange(0, count, 10), 1)
    view = index.view()
    queries = [BitWeights.of(rng.standard_normal(bits).astype(np.float32)) for _ in range(QUERIES)]
    broad = BitWeights.of(rng.standard_normal((8, bits)).astype(np.float32), softness=16.0)
    ways: dict[str, Callable[[int], Any]] = {
        "hamming": lambda i: view.search(queries[i].code, K),
        "weighted": lambda i: search_weighted(view, [queries[i]], K),
        "hamming, filter": lambda i: view.search(queries[i].code, K, filter_key="tenth"),
        "weighted, filter": lambda i: search_weighted(view, [queries[i]], K, filter_key="tenth"),
        "weighted, eight parts": lambda _: search_weighted(view, [broad], K),
        "weighted, 1,000 deep": lambda i: search_weighted(view, [queries[i]], 1_000),
    }
    least = {name: np.full(QUERIES, np.inf) for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            least[name] = np.minimum(least[name], cpu_ms(way))
    row: dict[str, Any] = {"codes": kind, "count": count, "bits": bits}
    for name, took in least.items():
        row[f"{name}, ms"] = round(float(np.median(took)), 2)
    row["ratio"] = round(row["weighted, ms"] / row["hamming, ms"], 2)
    row["ratio, filter"] = round(row["weighted, filter, ms"] / row["hamming, filter, ms"], 2)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warm_up()
    rows = [measure(b, options.count, kind) for b in options.bits for kind in ("uniform", "clustered")]
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
