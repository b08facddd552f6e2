"""Groups of pictures within a radius: ours beside faiss, which runs a range search for every code.

CPU seconds of one run each, one thread; both join neighbours to groups by union-find. faiss compares every code
with every other. Up to ``--peer-to`` codes it does so, and both have to find the same groups. Among more codes
it searches for ``--sample`` evenly spaced ones; its time is scaled up, and our groups have to connect
whatever faiss finds near, and no code for which faiss finds nothing may be in one.

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
from search_engines import as_bytes, peer_versions

from app.index.collection_index import CollectionIndex
from app.index.pairs import TooManyComparisons, groups_within, roots
from app.index.warm_up import warm_up

PIECE = 1_000


def by_faiss(codes: np.ndarray, bits: int, radius: int, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Find groups by a range search for the codes of ``rows``, joined as ours are.

    Returns:
        Roots of the groups, shape (n,), and CPU seconds, in which the searches are scaled up to all codes.
    """
    import faiss  # noqa: PLC0415

    began = time.process_time()
    index = faiss.IndexBinaryFlat(bits)
    octets = as_bytes(codes, bits)
    index.add(octets)
    parents = np.arange(len(codes))
    searching = time.process_time()
    for start in range(0, len(rows), PIECE):
        piece = rows[start : start + PIECE]
        # A faiss range search excludes the radius itself.
        limits, _, found = index.range_search(octets[piece], radius + 1)
        join_all(parents, piece, limits.astype(np.int64), found)
    searched = time.process_time()
    found = roots(parents)
    scaled = (searched - searching) * len(codes) / len(rows)
    return found, scaled + time.process_time() - searched + searching - began


def groups_of(found: np.ndarray) -> list[list[int]]:
    """Groups of at least two numbers with the same root, in the order of their first numbers."""
    groups: dict[int, list[int]] = {}
    for number, root in enumerate(found.tolist()):
        groups.setdefault(root, []).append(number)
    return sorted(group for group in groups.values() if len(group) > 1)


def agrees(groups: list[list[int]], found: np.ndarray, rows: np.ndarray) -> bool:
    """Whether our groups connect whatever the roots ``found`` do, and leave alone codes near no other."""
    if len(rows) == len(found):
        return groups_of(found) == groups
    ours = np.arange(len(found))
    for group in groups:
        ours[group] = group[0]
    sizes = np.bincount(found, minlength=len(found))[found[rows]]
    our_sizes = np.bincount(ours, minlength=len(ours))[ours[rows]]
    is_connected = bool((ours == ours[found]).all())
    return is_connected and bool(((sizes > 1) == (our_sizes > 1)).all())


@njit(nogil=True)
def join_all(parents: np.ndarray, asked: np.ndarray, limits: np.ndarray, rows: np.ndarray) -> None:
    for j in range(len(limits) - 1):
        for i in range(limits[j], limits[j + 1]):
            a, b = asked[j], rows[i]
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
                    asked = n if n <= options.peer_to else min(options.sample, n)
                    yield row_of(codes, index, data, radius, np.arange(asked) * n // asked)


def row_of(
    codes: np.ndarray, index: CollectionIndex, data: str, radius: int, asked: np.ndarray
) -> dict[str, Any]:
    versions = peer_versions()
    row: dict[str, Any] = {
        "data": data,
        "n": len(codes),
        "bits": index.bits,
        "radius": radius,
        "peer": f"faiss {versions['faiss']}",
        "instruction_set": versions["ours"],
    }
    began = time.process_time()
    try:
        groups = [group.tolist() for group in groups_within(index.view(), radius)]
    except TooManyComparisons as refusal:
        return row | {"refused": str(refusal)}
    row |= {"ours_s": time.process_time() - began, "groups": len(groups), "pictures": sum(map(len, groups))}
    others, took = by_faiss(codes, index.bits, radius, asked)
    row |= {"faiss_s": took, "faiss_searches": len(asked), "same": agrees(groups, others, asked)}
    row["ratio"] = row["faiss_s"] / row["ours_s"]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[20_000, 100_000, 1_000_000])
    parser.add_argument("--peer-to", type=int, default=100_000, help="most codes that faiss searches for all")
    parser.add_argument("--sample", type=int, default=5_000, help="codes that faiss searches for among more")
    parser.add_argument("--pictures", nargs="+", default=[], help="zips of pictures whose codes are used too")
    parser.add_argument("--count", type=int, default=4000, help="how many of the pictures")
    parser.add_argument("--codes", type=Path, help="an .npz that keeps the pictures' codes between runs")
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()
    import faiss  # noqa: PLC0415

    faiss.omp_set_num_threads(1)
    warm_up()
    by_faiss(np.zeros((2, 1), np.uint64), 64, 1, np.arange(2))
    rows = []
    for row in measure(options):
        rows.append(row)
        print(*(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
