"""Measure gain and cost of ``rank``: mAP on Caltech-101 with the shipped models, and CPU time.

Each query's ranking is what the service gives: for descriptors the 200 nearest are re-ranked and the others
follow by Hamming distance; ties are expected over every order. Times are CPU times of one query on the
gallery, without reading descriptors from the database (``benchmarks/collection.py`` has that).

    python benchmarks/rank.py FOLDER-OF-caltech101.zip [--models lite2-256 lite2-64] [--json FILE]
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.codes import codes_to_bytes, hamming, pack_signs
from app.domain.results import QueryInfo
from app.encoding.artifact import load_artifact
from app.encoding.encoder import EncoderOutput, OnnxEncoder
from app.index.collection_index import CollectionIndex, Neighbours
from app.index.warm_up import warm_up
from app.index.weighted import BitWeights, search_weighted
from app.learning.datasets.caltech101 import split_caltech101
from app.learning.datasets.pictures import LabelledPictures
from app.learning.evaluation.metrics import figures
from app.learning.evaluation.ties import TiedRanking
from app.services.searching.paging import PageRequest
from app.services.searching.queries import NearestOf, Query
from app.services.searching.reranking import (
    CANDIDATES,
    Descriptors,
    by_descriptors,
    by_expansion,
    candidates_of,
)

ROOT = Path(__file__).resolve().parent.parent
PAGE = PageRequest(limit=20, radius=None, filter_key=None)


def encode(encoder: OnnxEncoder, pictures: LabelledPictures) -> EncoderOutput:
    parts = [encoder.encode(encoder.prepare(pictures.pixels(i))[None]) for i in range(len(pictures))]
    return EncoderOutput(np.concatenate([p.y for p in parts]), np.concatenate([p.descriptor for p in parts]))


class Gallery:
    """Codes of a split under a model, and the orders to compare."""

    def __init__(self, queries: EncoderOutput, gallery: EncoderOutput) -> None:
        self.bits = gallery.y.shape[1]
        self.codes = pack_signs(gallery.y)
        index = CollectionIndex(self.bits)
        index.load(np.arange(len(self.codes)), self.codes, 1)
        self.view = index.view()
        self.stored = {i: d.tobytes() for i, d in enumerate(gallery.descriptor)}
        self.queries = queries

    def _found(self, i: int) -> Neighbours:
        code = pack_signs(self.queries.y[i : i + 1])
        return candidates_of(self.view, Query(NearestOf(code), QueryInfo(self.bits)), PAGE).found

    def hamming(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest by Hamming distance."""
        found = self._found(i)
        return found.numbers, found.distances.astype(float)

    def asymmetric(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """The whole gallery by the query's outputs."""
        query = BitWeights.of(self.queries.y[i])
        (found,) = search_weighted(self.view, [query], len(self.codes))
        return found.numbers, found.distances.astype(float)

    def descriptor(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest, re-ranked by descriptors."""
        found = self._found(i)
        return found.numbers, by_descriptors(self._descriptors(found), self.queries.descriptor[i : i + 1])[0]

    def expanded(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest, re-ranked by means of descriptors."""
        found = self._found(i)
        return found.numbers, by_expansion(self._descriptors(found), self.queries.descriptor[i : i + 1])[0]

    def _descriptors(self, found: Neighbours) -> Descriptors:
        return Descriptors.of(found.numbers, self.stored, self.queries.descriptor.shape[1])


def rankings(
    gallery: Gallery,
    order: Callable[[int], tuple[np.ndarray, np.ndarray]],
    labels: tuple[np.ndarray, np.ndarray],
) -> Iterator[TiedRanking]:
    """One ranking per query: re-ranked pictures in groups of ties, then the rest by Hamming distance."""
    for i, label in enumerate(labels[0]):
        numbers, distances = order(i)
        _, groups = np.unique(distances, return_inverse=True)
        alike = labels[1] == label
        rest = np.ones(len(gallery.codes), bool)
        rest[numbers] = False
        far = hamming(gallery.codes, pack_signs(gallery.queries.y[i : i + 1])[0])[rest]
        heads, tails = int(groups.max()) + 1, gallery.bits + 1
        counts = [np.bincount(groups, minlength=heads), np.bincount(far, minlength=tails)]
        relevant = [
            np.bincount(groups[alike[numbers]], minlength=heads),
            np.bincount(far[alike[rest]], minlength=tails),
        ]
        yield TiedRanking(np.concatenate(counts)[None], np.concatenate(relevant)[None])


def cpu_ms(work: Callable[[int], Any], count: int) -> float:
    """Median CPU milliseconds of one query."""
    took = []
    for i in range(count):
        begun = time.process_time()
        work(i)
        took.append(1e3 * (time.process_time() - begun))
    return float(np.median(took))


def measure(model: str, data: Path) -> Iterator[dict[str, Any]]:
    split = split_caltech101(data)
    encoder = OnnxEncoder(load_artifact(ROOT / "model_artifacts" / model))
    gallery = Gallery(encode(encoder, split.queries), encode(encoder, split.gallery))
    labels = split.queries.labels, split.gallery.labels
    for name in ("hamming", "asymmetric", "descriptor", "expanded"):
        order = getattr(gallery, name)
        found = figures(rankings(gallery, order, labels)).as_dict()
        yield {
            "model": model,
            "rank": name,
            "candidates": len(gallery.codes) if name == "asymmetric" else CANDIDATES,
            "bytes": len(codes_to_bytes(gallery.codes[:1], gallery.bits)[0]),
            "cpu_ms": round(cpu_ms(order, 200), 3),
            **{key: found[key] for key in ("map_all", "precision_at_10", "precision_at_100")},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", nargs="+", default=["lite2-256", "lite2-64"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warm_up()
    rows = []
    for model in options.models:
        for row in measure(model, options.data):
            rows.append(row)
            print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
