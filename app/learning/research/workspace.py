"""Where a run of the experiments keeps its data, features and finished cells, so that it can be resumed."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.encoding.preprocess import Preprocessing
from app.learning.datasets.caltech101 import split_caltech101
from app.learning.datasets.cifar10 import split_cifar10
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import Split
from app.learning.evaluation.protocol import Protocol
from app.learning.evaluation.retrieval import Labels
from app.learning.nn.encoders.registry import load_encoder
from app.learning.training.cache import cached
from app.learning.training.export import export_fp32
from app.learning.training.features import open_graph

COLLECTIONS = {"cifar10": split_cifar10, "caltech101": split_caltech101}
QUICK_SHARE = 20
"""A quick run keeps one gallery picture in 20, and one query in 4."""


@lru_cache(maxsize=4)
def pretrained(encoder: str, side: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """A pretrained encoder as a function from prepared pictures, (n, side, side, 3) uint8, to (n, d) float32.

    ONNX Runtime is several times faster than torch on a processor, and equal to rounding.
    """
    with TemporaryDirectory() as scratch:
        graph = Path(scratch) / "encoder.onnx"
        export_fp32(load_encoder(encoder, side), side, ["features"], graph)
        run = open_graph(graph)
    return lambda batch: run(batch)[0].astype(np.float32)


@dataclass(frozen=True, eq=False)
class Material:
    """One collection, split, with whatever was computed of it."""

    split: Split
    folder: Path

    @cached_property
    def labels(self) -> Labels:
        """Kinds of queries and gallery."""
        return Labels(self.split.queries.labels, self.split.gallery.labels)

    @cached_property
    def protocol(self) -> Protocol:
        """How figures on this collection are measured."""
        return Protocol.of(self.split)

    def pixels(self, side: int = 32) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Queries and gallery scaled to squares, each (n, side, side, 3) uint8."""
        return self._both(
            f"pixels-{side}", lambda part: np.concatenate(list(part.prepared(Preprocessing(side))))
        )

    def features(self, encoder: str, side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features of queries and gallery by a pretrained encoder, each (n, d) float32."""

        def compute(part: LabelledPictures) -> NDArray[np.float32]:
            encode = pretrained(encoder, side)
            return np.concatenate([encode(batch) for batch in part.prepared(Preprocessing(side))])

        return self._both(f"{encoder}-{side}", compute)

    def _both(self, stem: str, compute: Callable[[LabelledPictures], NDArray[Any]]) -> tuple[Any, Any]:
        queries = cached(self.folder / f"{stem}-queries.npy", lambda: compute(self.split.queries))
        gallery = cached(self.folder / f"{stem}-gallery.npy", lambda: compute(self.split.gallery))
        return queries, gallery


@dataclass(frozen=True, eq=False)
class Workspace:
    """A folder of results; a cell that is there is not computed again."""

    folder: Path
    data_dir: Path
    quick: bool = False
    _materials: dict[str, Material] = field(default_factory=dict)

    def material(self, collection: str) -> Material:
        """A collection by name, made smaller in a quick run."""
        if collection not in self._materials:
            split = COLLECTIONS[collection](self.data_dir)
            size = "quick" if self.quick else "full"
            if self.quick:
                split = _smaller(split)
            self._materials[collection] = Material(split, self.folder / "cache" / f"{collection}-{size}")
        return self._materials[collection]

    def cell(self, key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result stored under ``key``, computed and stored first if it is not there."""
        path = self.folder / "cells" / f"{key}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(compute(), indent=1)
            with NamedTemporaryFile("w", dir=path.parent, suffix=".json.writing", delete=False) as file:
                file.write(text)
            Path(file.name).replace(path)
        result: dict[str, Any] = json.loads(path.read_text())
        return result

    def checkpoint(self, key: str) -> Path:
        """Where a training run keeps its state."""
        return self.folder / "checkpoints" / f"{key}.pt"


def _smaller(split: Split) -> Split:
    """Every twentieth gallery picture and every fourth query; sorted names keep all kinds in."""
    return Split(
        split.gallery.subset(np.arange(0, len(split.gallery), QUICK_SHARE)),
        split.queries.subset(np.arange(0, len(split.queries), 4)),
        f"{split.rule}; of these every {QUICK_SHARE}th of the gallery and every 4th query",
    )
