"""Compare exact Hamming search with its peers: one process, one thread, same codes and queries, in turns.

Times are CPU times of this process, each query's the least of a few rounds, so that what else the machine does
matters less; compare ratios within one run. Engines: ours (the scan, the hash tables alone, and the planner),
numpy (naive and in chunks), faiss (IndexBinaryFlat, and IndexBinaryMultiHash, which is not exact), usearch
(exact), and the limit, a loop that only reads the codes.

    python benchmarks/search.py [--quick | --large] [--json FILE] [--report FILE.md] [--plots FOLDER]
                                [--pictures ZIP ... [--count N] [--codes KEPT.npz]]
"""

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from search_codes import clustered, enlarged, real, uniform
from search_engines import (
    Answer,
    Engine,
    as_served,
    faiss_flat,
    fitting,
    ours,
    peer_versions,
    reading,
    scanned,
    share_answered,
    tables_alone,
    with_tables,
)
from search_report import Row, aims, plot
from search_starts import measure_starts

from app.domain.codes import words_for
from app.index.collection_index import IndexDelta, ScanThreads
from app.index.delta import apply_delta
from app.index.warm_up import warm_up

QUERIES = 128
TURN = 8
"""Queries per turn, after one that is not timed and finds other engines' codes in the cache."""
ROUNDS = 3
BUDGET_S = 1.5
"""Work after which an engine gets no more turns."""
BATCH = 64
PEERS = ["faiss flat", "numpy, chunks", "numpy, naive", "usearch exact", "faiss multi-hash"]


def take_turns(
    engines: dict[str, Engine], queries: np.ndarray, k: int, rounds: int = ROUNDS
) -> tuple[dict[str, np.ndarray], dict[str, dict[int, list[int]]]]:
    """CPU milliseconds of each query and the found distances, by engine; slow engines answer fewer queries."""
    took = {name: np.full((rounds, len(queries)), np.nan) for name in engines}
    found: dict[str, dict[int, list[int]]] = {name: {} for name in engines}
    for engine in engines.values():
        engine(queries[0], k)
    blocks = len(queries) // TURN
    for turn, block in itertools.product(range(rounds), range(blocks)):
        # No two engines answer the same queries in succession: the second would find the buckets in the cache.
        for place, (name, engine) in enumerate(engines.items()):
            start = (block + 3 * place) % blocks * TURN
            if np.nansum(took[name]) <= BUDGET_S * 1e3:
                # Not timed: an engine that shares an array with the previous one would find it in the cache.
                engine(queries[start - 1], k)
            for j in range(start, start + TURN):
                if np.nansum(took[name]) > BUDGET_S * 1e3:
                    break
                began = time.process_time()
                distances, _ = engine(queries[j], k)
                took[name][turn, j] = (time.process_time() - began) * 1e3
                found[name][j] = np.asarray(distances).astype(int).tolist()
    least = {name: np.fmin.reduce(times) for name, times in took.items()}
    return {name: times[~np.isnan(times)] for name, times in least.items()}, found


def measure_single(
    data: str,
    codes: np.ndarray,
    queries: np.ndarray,
    bits: int,
    ks: list[int],
    peers: list[str],
    rounds: int = ROUNDS,
) -> Iterator[Row]:
    """All peers at k = 10, only faiss at other k."""
    index, n = scanned(codes, bits), len(codes)
    hashed = with_tables(index)
    served = as_served(hashed)
    columns = hashed.main.columns
    engines: dict[str, Engine] = {
        "ours, scan": ours(index.view()),
        "ours, tables": tables_alone(hashed),
        "ours, planner": ours(served),
        "reading": reading(columns),
        **dict(fitting(peers, codes, columns, bits)),
    }
    views = {"ours, scan": index.view(), "ours, tables": hashed, "ours, planner": served}
    sizes = {name: view.nbytes / n for name, view in views.items()}
    for k in ks:
        asked = {name: e for name, e in engines.items() if k == 10 or name not in PEERS[1:]}
        took, found = take_turns(asked, queries, k, rounds)
        share = share_answered(served, queries, k)
        print(f"{'':11}   of {data} queries the planner leaves {share:.0%} to the tables")
        for name, times in took.items():
            truth = found["ours, scan"]
            is_exact = all(distances == truth.get(j, distances) for j, distances in found[name].items())
            size = sizes.get(name, words_for(bits) * 8)
            yield Row(name, n, bits, k, data, 1, *percentiles(times), is_exact, round(size, 2))


def measure_batch(data: str, codes: np.ndarray, queries: np.ndarray, bits: int) -> Iterator[Row]:
    """Milliseconds per query in batches of 64."""
    index = scanned(codes, bits)
    peer = faiss_flat(codes, bits)

    def batched(view: object) -> Engine:
        def search(batch: np.ndarray, k: int) -> Answer:
            found = view.search_many(batch, k)
            return np.stack([f.distances for f in found]), np.stack([f.numbers for f in found])

        return search

    served = as_served(with_tables(index))
    engines = {"ours, scan": batched(index.view()), "ours, planner": batched(served), "faiss flat": peer}
    times: dict[str, list[float]] = {name: [] for name in engines}
    found = {}
    for _ in range(3 if len(codes) > 2_000_000 else 9):
        for name, engine in engines.items():
            began = time.process_time()
            found[name] = engine(queries[:BATCH], 10)[0]
            times[name].append((time.process_time() - began) * 1e3 / BATCH)
    for name, each in times.items():
        is_exact = bool((found[name] == found["ours, scan"]).all())
        yield Row(name, len(codes), bits, 10, data, BATCH, *percentiles(each), is_exact, words_for(bits) * 8)


def measure_filters(codes: np.ndarray, clusters: np.ndarray, rows: list[int], bits: int) -> Iterator[Row]:
    """Masks that are random, correlated with the query (one of the codes), or delete a tenth."""
    index, all_rows = scanned(codes, bits), np.arange(len(codes))
    rng = np.random.default_rng(1)
    masks: dict[str, Callable[[int], np.ndarray]] = {
        "random 99.9 %": lambda _: all_rows[rng.random(len(codes)) < 0.999],
        "random 50 %": lambda _: all_rows[rng.random(len(codes)) < 0.5],
        "random 10 %": lambda _: all_rows[rng.random(len(codes)) < 0.1],
        "random 1 %": lambda _: all_rows[rng.random(len(codes)) < 0.01],
        "last half of the rows": lambda _: all_rows[len(codes) // 2 :],
        "without its cluster": lambda q: all_rows[clusters != clusters[q]],
        "without its nearest tenth": lambda q: np.sort(by_nearness(codes, q)[len(codes) // 10 :]),
        "without its nearest half": lambda q: np.sort(by_nearness(codes, q)[len(codes) // 2 :]),
    }
    times: dict[str, list[float]] = {name: [] for name in ["no filter", *masks, "a tenth deleted"]}
    gone = np.sort(rng.choice(all_rows, len(codes) // 10, replace=False))
    # The same codes at the same addresses: another index would have to load them into the cache first.
    smaller = apply_delta(index.view(), IndexDelta(2, all_rows[:0], codes[:0], gone, gone))
    for q in rows:
        for name, mask in masks.items():
            index.put_filter(f"{name} {q}", mask(q), 1)
        engines = {"no filter": ours(index.view()), "a tenth deleted": ours(smaller)}
        engines |= {name: ours(index.view(), f"{name} {q}") for name in masks}
        took, _ = take_turns(engines, np.repeat(codes[q : q + 1], 2 * TURN, axis=0), 10, rounds=5)
        for name, each in took.items():
            times[name] += each.tolist()
    size = round(index.view().nbytes / len(codes), 2)
    for name, each in times.items():
        yield Row(f"ours, scan: {name}", len(codes), bits, 10, "clustered", 1, *percentiles(each), True, size)


def by_nearness(codes: np.ndarray, row: int) -> np.ndarray:
    return np.argsort(np.bitwise_count(codes ^ codes[row]).sum(axis=1, dtype=np.int16), kind="stable")


def measure_threads(data: str, codes: np.ndarray, queries: np.ndarray, bits: int) -> Iterator[Row]:
    """Wall time, since threads are meant to reduce it; the minimum of many, as the machine may be busy."""
    index = scanned(codes, bits)
    times: dict[int, list[float]] = {1: [], 2: []}
    for query, threads in itertools.product(queries[:32], times):
        index.use_threads(ScanThreads(threads))
        view = index.view()
        began = time.perf_counter()
        view.search(query, 10)
        times[threads].append((time.perf_counter() - began) * 1e3)
    for threads, each in times.items():
        least, name = round(min(each), 4), f"ours, scan: {threads} threads, wall"
        yield Row(name, len(codes), bits, 10, data, 1, least, percentiles(each)[1], True, words_for(bits) * 8)


def percentiles(times: list[float] | np.ndarray) -> tuple[float, float]:
    p50, p99 = np.percentile(times, [50, 99])
    return round(float(p50), 4), round(float(p99), 4)


def run(arguments: argparse.Namespace) -> Iterator[Row]:
    rng, full = np.random.default_rng(0), not arguments.quick
    rounds = ROUNDS if full else 1
    sizes = arguments.sizes or [60_000, 1_000_000] + [10_000_000] * full + [100_000_000] * arguments.large
    lengths = arguments.bits or ([16, 32, 64, 128, 160, 256] if full else [64, 256])
    pictures = real(arguments.pictures, arguments.count, arguments.codes) if arguments.pictures else {}
    for n, bits in itertools.product(sizes, lengths):
        if n > 10_000_000 and bits != 64:
            continue
        ks = [10] if not full or bits < 64 else [10, 100] if bits in {128, 160} else [1, 10, 100]
        peers = PEERS if full or n < 100_000 else PEERS[:2]
        codes = uniform(rng, n + QUERIES, bits)
        yield from measure_single("uniform", codes[QUERIES:], codes[:QUERIES], bits, ks, peers, rounds)
        if bits >= 64 and n <= 10_000_000:
            yield from measure_batch("uniform", codes[QUERIES:], codes[:QUERIES], bits)
        if full and n == 10_000_000 and bits == 64:
            yield from measure_threads("uniform", codes[QUERIES:], codes[:QUERIES], bits)
        if bits < 64:
            continue
        codes, clusters = clustered(rng, n + QUERIES, bits)
        yield from measure_single("clustered", codes[QUERIES:], codes[:QUERIES], bits, ks, PEERS[:1], rounds)
        if n == 1_000_000:
            yield from measure_filters(codes[QUERIES:], clusters[QUERIES:], [3, 70, 999, 5_000], bits)
        if bits in pictures and n <= 10_000_000:
            # Some pictures are queries only: no code is derived from theirs.
            asked, known = pictures[bits][:QUERIES], pictures[bits][QUERIES:]
            yield from measure_single("real", enlarged(rng, known, n, bits), asked, bits, [10], PEERS[:1])
    if not arguments.sizes and not arguments.bits:
        yield from measure_starts(full=full)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60 thousand and a million codes, under a minute")
    parser.add_argument("--large", action="store_true", help="a hundred million 64-bit codes too")
    parser.add_argument("--sizes", nargs="+", type=int, help="numbers of codes, instead of those")
    parser.add_argument("--bits", nargs="+", type=int, help="code lengths, instead of those")
    parser.add_argument(
        "--pictures", nargs="+", default=[], help="zips of pictures whose codes are searched too"
    )
    parser.add_argument("--count", type=int, default=4000, help="how many of the pictures")
    parser.add_argument("--codes", type=Path, help="an .npz that keeps the pictures' codes between runs")
    parser.add_argument("--json", type=Path, help="file for the rows")
    parser.add_argument("--report", type=Path, help="file for the table of aims, .md")
    parser.add_argument("--plots", type=Path, help="folder for the plots")
    arguments = parser.parse_args()
    import faiss  # noqa: PLC0415

    faiss.omp_set_num_threads(1)
    warm_up()
    versions = peer_versions()
    print(*(f"{name} {version}" for name, version in versions.items()), sep=", ")
    print(f"load average at the start: {os.getloadavg()[0]:.1f}")
    rows = []
    for row in run(arguments):
        rows.append(row)
        print(
            f"{row.n:>11,} × {row.bits:>3} bits k={row.k:<3} batch {row.batch:<2} {row.data:<9} "
            f"{row.engine:<38} p50 {row.p50_ms:>9.4f} ms  p99 {row.p99_ms:>9.4f}  "
            f"{'exact' if row.exact else '—':<5} {row.bytes_per_code:>6} B",
            flush=True,
        )
        if arguments.json:
            arguments.json.write_text(
                json.dumps([asdict(r) | {"versions": versions} for r in rows], indent=1) + "\n"
            )
    print(f"load average at the end: {os.getloadavg()[0]:.1f}")
    if arguments.report:
        arguments.report.write_text(aims(rows, versions))
    if arguments.plots:
        plot(rows, arguments.plots)


if __name__ == "__main__":
    main()
