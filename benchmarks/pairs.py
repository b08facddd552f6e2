"""Groups of pictures within a radius: ours beside faiss, which runs a range search for every code.

CPU seconds of one run each, groups made in both; faiss only up to ``--peer-to`` codes, as it compares every
code with every other. Both have to find the same groups.

    python benchmarks/pairs.py [--sizes 20000 100000 1000000] [--codes KEPT.npz] [--json FILE]
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from search_codes import clustered, enlarged, real, uniform
from search_engines import as_bytes

from app.index.collection_index import CollectionIndex
from app.index.pairs import TooManyComparisons, groups_within, roots
from app.index.warm_up import warm_up

PIECE = 1_000


def by_faiss(codes: np.ndarray, bits: int, radius: int) -> list[list[int]]:
    """Groups by a range search for every code, joined as ours are."""
    import faiss  # noqa: PLC0415

    index = faiss.IndexBinaryFlat(bits)
    octets = as_bytes(codes, bits)
    index.add(octets)
    parents = np.arange(len(codes))
    for start in range(0, len(codes), PIECE):
        # A faiss range search excludes the radius itself.
        limits, _, rows = index.range_search(octets[start : start + PIECE], radius + 1)
        join_all(parents, start, limits.astype(np.int64), rows)
    found: dict[int, list[int]] = {}
    for number, root in enumerate(roots(parents).tolist()):
        found.setdefault(root, []).append(number)
    return sorted(group for group in found.values() if len(group) > 1)


@njit(nogil=True)
def join_all(parents: np.ndarray, first: int, limits: np.ndarray, rows: np.ndarray) -> None:
    for j in range(len(limits) - 1):
        for i in range(limits[j], limits[j + 1]):
            a, b = first + j, rows[i]
            while parents[a] != a:
                parents[a] = parents[parents[a]]
                a = parents[a]
            while parents[b] != b:
                parents[b] = parents[parents[b]]
                b = parents[b]
            parents[max(a, b)] = min(a, b)


def measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(0)
    pictures = real(options.pictures, options.count, options.codes) if options.pictures else {}
    for n in options.sizes:
        for bits, radii in ((64, (4, 10)), (256, (4, 10, 20))):
            kinds = {"uniform": uniform(rng, n, bits), "clustered": clustered(rng, n, bits)[0]}
            if bits in pictures:
                kinds["real"] = enlarged(rng, pictures[bits], n, bits)
            for data, codes in kinds.items():
                index = CollectionIndex(bits)
                index.load(np.arange(n), codes, 1)
                for radius in radii:
                    yield row_of(codes, index, data, radius, has_peer=n <= options.peer_to)


def row_of(
    codes: np.ndarray, index: CollectionIndex, data: str, radius: int, *, has_peer: bool
) -> dict[str, Any]:
    row: dict[str, Any] = {"data": data, "n": len(codes), "bits": index.bits, "radius": radius}
    began = time.process_time()
    try:
        groups = [group.tolist() for group in groups_within(index.view(), radius)]
    except TooManyComparisons as refusal:
        return row | {"refused": str(refusal)}
    row |= {"ours_s": time.process_time() - began, "groups": len(groups), "pictures": sum(map(len, groups))}
    if has_peer:
        began = time.process_time()
        others = by_faiss(codes, index.bits, radius)
        row |= {"faiss_s": time.process_time() - began, "same": others == groups}
        row["ratio"] = row["faiss_s"] / row["ours_s"]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[20_000, 100_000, 1_000_000])
    parser.add_argument("--peer-to", type=int, default=100_000, help="most codes that faiss compares")
    parser.add_argument("--pictures", nargs="+", default=[], help="zips of pictures whose codes are used too")
    parser.add_argument("--count", type=int, default=4000, help="how many of the pictures")
    parser.add_argument("--codes", type=Path, help="an .npz that keeps the pictures' codes between runs")
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()
    import faiss  # noqa: PLC0415

    faiss.omp_set_num_threads(1)
    warm_up()
    by_faiss(np.zeros((2, 1), np.uint64), 64, 1)
    rows = []
    for row in measure(options):
        rows.append(row)
        print(*(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
