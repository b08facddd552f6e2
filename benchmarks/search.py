"""Exact Hamming search beside its peers: one process, one thread, the same codes and queries, taking turns.

Times are CPU times of this process, so that what else the machine does matters less; compare ratios within one
run. Engines: ours (scan), numpy (naive and in chunks), faiss (IndexBinaryFlat, and IndexBinaryMultiHash, which
is approximate), usearch (exact), and the limit, a loop that only reads the codes.

    python benchmarks/search.py [--quick | --large] [--data PICTURES.zip] [--json FILE] [--plot FILE.svg]
"""

import argparse
import itertools
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numba import njit

from app.domain.codes import pack_signs, words_for
from app.index.collection_index import CollectionIndex, IndexDelta, warm_up

ROOT = Path(__file__).resolve().parent.parent
QUERIES = 64
TURN = 8
"""Queries of one turn: the first of a turn finds the other engines' codes in the cache, the rest their own."""
BUDGET_S = 1.5
CHUNK = 32_768
Answer = tuple[np.ndarray, np.ndarray]
Engine = Callable[[np.ndarray, int], Answer]


@dataclass(frozen=True, slots=True)
class Row:
    """One engine on one set of codes."""

    engine: str
    n: int
    bits: int
    k: int
    data: str
    batch: int
    p50_ms: float
    p99_ms: float
    exact: bool
    bytes_per_code: float


# ---- codes ----------------------------------------------------------------------------------------


def uniform(rng: np.random.Generator, n: int, bits: int) -> np.ndarray:
    """Independent bits: the hardest case for anything but a scan."""
    codes = rng.integers(0, 2**64, (n, words_for(bits)), dtype=np.uint64)
    if bits % 64:
        codes[:, -1] &= np.uint64((1 << bits % 64) - 1)
    return codes


def clustered(rng: np.random.Generator, n: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """sign(W(μ + σε)) in 24 latent dimensions, σ = .45, a thousand Zipf-sized clusters; codes and clusters."""
    centres = rng.standard_normal((1000, 24), dtype=np.float32)
    projection = rng.standard_normal((24, bits), dtype=np.float32)
    weights = 1 / np.arange(1, 1001) ** 0.7
    clusters = rng.choice(1000, n, p=weights / weights.sum())
    parts = []
    for start in range(0, n, 65_536):
        z = centres[clusters[start : start + 65_536]]
        z = z + 0.45 * rng.standard_normal(z.shape, dtype=np.float32)
        parts.append(pack_signs(z @ projection))
    return np.concatenate(parts), clusters


def real(archive: str, pictures: int = 2000) -> np.ndarray:
    """Codes of a zip's pictures under the shipped model, shape (pictures, 4)."""
    from app.encoding.artifact import load_artifact  # noqa: PLC0415
    from app.encoding.encoder import OnnxEncoder  # noqa: PLC0415
    from app.images.decode import decode_in_process  # noqa: PLC0415
    from app.images.sniff import Limits  # noqa: PLC0415

    encoder = OnnxEncoder(load_artifact(ROOT / "model_artifacts" / "lite0-256"), threads=1)
    with zipfile.ZipFile(archive) as opened:
        names = [n for n in opened.namelist() if n.lower().endswith((".jpg", ".png"))]
        chosen = np.random.default_rng(0).permutation(len(names))[:pictures]
        pixels = (decode_in_process(opened.read(names[i]), Limits()).pixels for i in chosen)
        return np.concatenate([pack_signs(encoder.encode(encoder.prepare(p)[None]).y) for p in pixels])


def enlarged(rng: np.random.Generator, codes: np.ndarray, n: int) -> np.ndarray:
    """``n`` codes drawn from real ones with each bit flipped once in 16: near duplicates of real pictures."""
    drawn = codes[rng.integers(0, len(codes), n)]
    noise = rng.integers(0, 2**64, (4, *drawn.shape), dtype=np.uint64)
    return drawn ^ (noise[0] & noise[1] & noise[2] & noise[3])


# ---- engines --------------------------------------------------------------------------------------


@njit(nogil=True)
def read_all(columns: np.ndarray) -> np.uint64:
    """Read every word and do next to nothing with it."""
    total = np.uint64(0)
    for w in range(columns.shape[0]):
        column = columns[w]
        for i in range(len(column)):
            total |= column[i]
    return total


def numpy_naive(codes: np.ndarray) -> Engine:
    def search(query: np.ndarray, k: int) -> Answer:
        distances = np.bitwise_count(codes ^ query).sum(axis=1, dtype=np.int16)
        order = np.argsort(distances, kind="stable")[:k]
        return distances[order], order

    return search


def numpy_chunked(codes: np.ndarray) -> Engine:
    """The best that numpy does: columns in chunks that stay in the cache, cut at the k-th distance so far."""
    columns = np.ascontiguousarray(codes.T)

    def search(query: np.ndarray, k: int) -> Answer:
        best, rows = np.empty(0, np.int16), np.empty(0, np.int64)
        for start in range(0, len(codes), CHUNK):
            part = np.bitwise_count(columns[0, start : start + CHUNK] ^ query[0]).astype(np.int16, copy=False)
            for w in range(1, len(columns)):
                part = part + np.bitwise_count(columns[w, start : start + CHUNK] ^ query[w])
            near = (
                np.flatnonzero(part < best[-1])
                if len(best) == k
                else np.argpartition(part, min(k, len(part)) - 1)[:k]
            )
            if len(near):
                best, rows = np.concatenate([best, part[near]]), np.concatenate([rows, near + start])
                order = np.argsort(best, kind="stable")[:k]
                best, rows = best[order], rows[order]
        return best, rows

    return search


def faiss_flat(codes: np.ndarray, bits: int) -> Engine:
    import faiss  # noqa: PLC0415

    index = faiss.IndexBinaryFlat(bits)
    index.add(as_bytes(codes, bits))

    def search(query: np.ndarray, k: int) -> Answer:
        distances, rows = index.search(as_bytes(query.reshape(-1, codes.shape[1]), bits), k)
        return (distances[0], rows[0]) if query.ndim == 1 else (distances, rows)

    return search


def faiss_multi_hash(codes: np.ndarray, bits: int) -> Engine:
    import faiss  # noqa: PLC0415

    width = min(16, max(8, int(np.log2(len(codes)))))
    index = faiss.IndexBinaryMultiHash(bits, min(4, bits // width), width)
    index.nflip = 2
    index.add(as_bytes(codes, bits))

    def search(query: np.ndarray, k: int) -> Answer:
        distances, rows = index.search(as_bytes(query[None], bits), k)
        return distances[0], rows[0]

    return search


def usearch_exact(codes: np.ndarray, bits: int) -> Engine:
    from usearch.index import MetricKind  # noqa: PLC0415
    from usearch.index import search as exact_search  # noqa: PLC0415

    octets = as_bytes(codes, bits)

    def search(query: np.ndarray, k: int) -> Answer:
        found = exact_search(
            octets, as_bytes(query[None], bits)[0], k, MetricKind.Hamming, exact=True, threads=1, dtype="b1"
        )
        return np.asarray(found.distances).ravel(), np.asarray(found.keys).ravel()

    return search


def as_bytes(codes: np.ndarray, bits: int) -> np.ndarray:
    return np.ascontiguousarray(np.ascontiguousarray(codes).view(np.uint8)[:, : bits // 8])


def scan(index: CollectionIndex, filter_key: str | None = None) -> Engine:
    def search(query: np.ndarray, k: int) -> Answer:
        found = index.view().search(query, k, filter_key=filter_key)
        return found.distances, found.numbers

    return search


# ---- measuring ------------------------------------------------------------------------------------


def take_turns(engines: dict[str, Engine], queries: np.ndarray, k: int) -> tuple[dict, dict]:
    """CPU milliseconds of each query and the distances found, by engine; slow engines answer fewer queries."""
    took: dict[str, list[float]] = {name: [] for name in engines}
    found: dict[str, list[list[int]]] = {name: [] for name in engines}
    for engine in engines.values():
        engine(queries[0], k)
    for start in range(0, len(queries), TURN):
        for name, engine in engines.items():
            for query in queries[start : start + TURN]:
                if sum(took[name]) > BUDGET_S * 1e3:
                    break
                began = time.process_time()
                distances, _ = engine(query, k)
                took[name].append((time.process_time() - began) * 1e3)
                found[name].append(np.asarray(distances).astype(int).tolist())
    return took, found


def index_of(codes: np.ndarray, bits: int) -> CollectionIndex:
    index = CollectionIndex(bits)
    index.load(np.arange(len(codes)), codes, 1)
    return index


def measure_single(
    data: str, codes: np.ndarray, queries: np.ndarray, bits: int, ks: list[int], *, peers: bool
) -> Iterator[Row]:
    index, n = index_of(codes, bits), len(codes)
    columns = index.view().main.columns
    engines: dict[str, Engine] = {
        "ours, scan": scan(index),
        "reading": lambda _query, _k: (np.array([read_all(columns)]), columns[:0]),
        "faiss flat": faiss_flat(codes, bits),
        "numpy, chunks": numpy_chunked(codes),
    }
    if peers:
        engines["numpy, naive"] = numpy_naive(codes)
        engines["usearch exact"] = usearch_exact(codes, bits)
        if n <= 1_000_000:
            engines["faiss multi-hash"] = faiss_multi_hash(codes, bits)
    for k in ks:
        took, found = take_turns(engines, queries, k)
        expected = found["ours, scan"]
        for name, times in took.items():
            extra = {"ours, scan": index.view().nbytes / n - bits / 8, "faiss multi-hash": 0}.get(name, 0)
            exact = all(a == b for a, b in zip(found[name], expected, strict=False))
            yield Row(
                name, n, bits, k, data, 1, *percentiles(times), exact, round(words_for(bits) * 8 + extra, 2)
            )


def measure_batch(data: str, codes: np.ndarray, queries: np.ndarray, bits: int) -> Iterator[Row]:
    """Milliseconds a query in batches of 64."""
    index = index_of(codes, bits)
    peer = faiss_flat(codes, bits)

    def ours(batch: np.ndarray, k: int) -> Answer:
        found = index.view().search_many(batch, k)
        return np.stack([f.distances for f in found]), np.stack([f.numbers for f in found])

    times: dict[str, list[float]] = {"ours, scan": [], "faiss flat": []}
    for _ in range(3 if len(codes) > 2_000_000 else 5):
        for name, engine in (("ours, scan", ours), ("faiss flat", peer)):
            began = time.process_time()
            engine(queries, 10)
            times[name].append((time.process_time() - began) * 1e3 / len(queries))
    for name, each in times.items():
        yield Row(name, len(codes), bits, 10, data, len(queries), *percentiles(each), True, words_for(bits) * 8)


def measure_filters(codes: np.ndarray, clusters: np.ndarray, queries: list[int], bits: int) -> Iterator[Row]:
    """Random masks, and masks that go with the query, which is one of the codes; and a tenth deleted."""
    index, rows = index_of(codes, bits), np.arange(len(codes))
    rng = np.random.default_rng(1)
    masks: dict[str, Callable[[int], np.ndarray]] = {
        "filter: random 99.9 %": lambda _: rows[rng.random(len(rows)) < 0.999],
        "filter: random 50 %": lambda _: rows[rng.random(len(rows)) < 0.5],
        "filter: random 1 %": lambda _: rows[rng.random(len(rows)) < 0.01],
        "filter: last half of the rows": lambda _: rows[len(rows) // 2 :],
        "filter: without its cluster": lambda q: rows[clusters != clusters[q]],
        "filter: without its nearest tenth": lambda q: np.sort(nearness(codes, q)[len(rows) // 10 :]),
        "filter: without its nearest half": lambda q: np.sort(nearness(codes, q)[len(rows) // 2 :]),
    }
    times: dict[str, list[float]] = {name: [] for name in ["no filter", *masks, "a tenth deleted"]}
    smaller = index_of(codes, bits)
    gone = np.sort(rng.choice(rows, len(rows) // 10, replace=False))
    smaller.apply(IndexDelta(2, rows[:0], codes[:0], gone, gone))
    for q in queries:
        for name, mask in masks.items():
            index.put_filter(f"{name} {q}", mask(q), 1)
        engines = {"no filter": scan(index), "a tenth deleted": scan(smaller)}
        engines |= {name: scan(index, f"{name} {q}") for name in masks}
        took, _ = take_turns(engines, np.repeat(codes[q : q + 1], 2 * TURN, axis=0), 10)
        for name, each in took.items():
            times[name] += each
    for name, each in times.items():
        yield Row(f"ours, {name}", len(codes), bits, 10, "clustered", 1, *percentiles(each), True, bits / 8)


def nearness(codes: np.ndarray, row: int) -> np.ndarray:
    return np.argsort(np.bitwise_count(codes ^ codes[row]).sum(axis=1, dtype=np.int16), kind="stable")


def percentiles(times: list[float]) -> tuple[float, float]:
    p50, p99 = np.percentile(times, [50, 99])
    return round(float(p50), 4), round(float(p99), 4)


def run(arguments: argparse.Namespace) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    sizes = [60_000, 1_000_000] + [10_000_000] * (not arguments.quick) + [100_000_000] * arguments.large
    lengths = [64, 256] if arguments.quick else [16, 32, 64, 128, 256]
    photographs = real(arguments.data) if arguments.data else None
    for n, bits in itertools.product(sizes, lengths):
        if n * words_for(bits) > 100_000_000:
            print(f"{n:,} codes of {bits} bits are left out: with the peers' copies they fill the memory")
            continue
        full = not arguments.quick
        ks = [1, 10, 100] if full and bits == 64 else [10, 100] if full else [10]
        codes = uniform(rng, n + QUERIES, bits)
        yield from measure_single(
            "uniform",
            codes[QUERIES:],
            codes[:QUERIES],
            bits,
            ks,
            peers=n <= 10_000_000 and (full or n < 100_000),
        )
        yield from measure_batch("uniform", codes[QUERIES:], codes[:QUERIES], bits)
        if bits < 64 or n > 10_000_000:
            continue
        codes, clusters = clustered(rng, n + QUERIES, bits)
        yield from measure_single("clustered", codes[QUERIES:], codes[:QUERIES], bits, [10], peers=False)
        if n == 1_000_000:
            yield from measure_filters(codes[QUERIES:], clusters[QUERIES:], [3, 70, 999], bits)
        if photographs is not None and bits == 256:
            codes = enlarged(rng, photographs, n + QUERIES)
            yield from measure_single("real", codes[QUERIES:], codes[:QUERIES], bits, [10], peers=False)


def plot(rows: list[Row], path: str) -> None:
    """Latency against the number of codes, 64 bits, k = 10, uniform."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(7, 4.5))
    chosen = [r for r in rows if (r.bits, r.k, r.data, r.batch) == (64, 10, "uniform", 1)]
    for engine in dict.fromkeys(r.engine for r in chosen):
        line = [(r.n, r.p50_ms) for r in chosen if r.engine == engine]
        axes.loglog(*zip(*line, strict=True), marker="o", label=engine)
    axes.set(xlabel="codes of 64 bits", ylabel="milliseconds a query (median, one thread, k = 10)")
    axes.legend(fontsize="small")
    axes.grid(visible=True, which="major", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60 thousand and a million codes, under a minute")
    parser.add_argument("--large", action="store_true", help="a hundred million codes too")
    parser.add_argument("--data", help="a zip of pictures whose codes are searched too")
    parser.add_argument("--json", help="file for the rows")
    parser.add_argument("--plot", help="file for the plot, .svg")
    arguments = parser.parse_args()
    import faiss  # noqa: PLC0415

    faiss.omp_set_num_threads(1)
    warm_up()
    rows = []
    for row in run(arguments):
        rows.append(row)
        print(
            f"{row.n:>11,} × {row.bits:>3} bits k={row.k:<3} batch {row.batch:<2} {row.data:<9} "
            f"{row.engine:<40} p50 {row.p50_ms:>9.4f} ms  p99 {row.p99_ms:>9.4f}  "
            f"{'exact' if row.exact else '—'}",
            flush=True,
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
