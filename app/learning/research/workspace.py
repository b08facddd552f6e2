"""The folder of an experiment run: data, features and finished cells, so that a run can resume."""

import fcntl
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property, lru_cache, partial
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.encoding.preprocess import Preprocessing
from app.learning.datasets.caltech101 import split_caltech101
from app.learning.datasets.cifar10 import split_cifar10
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import NOTHING_DRAWN, Split
from app.learning.evaluation.protocol import Protocol
from app.learning.evaluation.retrieval import Labels
from app.learning.nn.encoders.registry import load_encoder
from app.learning.training.artifacts.onnx_export import export_fp32
from app.learning.training.features.arrays import cached_array, stack_batches
from app.learning.training.features.extraction import open_onnx_graph
from app.learning.training.features.split_features import edited_pictures, prepared_batches

COLLECTIONS = {"cifar10": split_cifar10, "caltech101": split_caltech101}
PART = 5_000
"""Pictures whose features are computed between two writes to disk."""
T = TypeVar("T")


log = logging.getLogger(__name__)


@lru_cache(maxsize=4)
def pretrained(encoder: str, side: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return a pretrained encoder as a function from pictures, (n, side, side, 3) uint8, to (n, d) float32.

    ONNX Runtime is several times faster than torch on a CPU, and equal up to rounding.
    """
    with TemporaryDirectory() as scratch:
        graph = Path(scratch) / "encoder.onnx"
        export_fp32(load_encoder(encoder, side), side, ["features"], graph)
        run = open_onnx_graph(graph)
    return lambda batch: run(batch)[0].astype(np.float32)


@dataclass(frozen=True, eq=False)
class CollectionData:
    """A split collection with its cached arrays."""

    split: Split
    folder: Path

    @cached_property
    def labels(self) -> Labels:
        """Kinds of queries and gallery."""
        return Labels(self.split.queries.labels, self.split.gallery.labels)

    def protocol(self, training_seed: int | str = NOTHING_DRAWN) -> Protocol:
        """The protocol of figures on this collection, for something trained with this seed."""
        return replace(self._protocol, training_seed=training_seed)

    @cached_property
    def _protocol(self) -> Protocol:
        # Computing checksums reads every picture.
        return Protocol.of(self.split, NOTHING_DRAWN)

    def pixels(self, side: int = 32) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Queries and gallery scaled to squares, each (n, side, side, 3) uint8."""
        return self._both(
            f"pixels-{side}", lambda part: stack_batches(part.prepared(Preprocessing(side)), len(part))
        )

    def features(self, encoder: str, side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features of queries and gallery by a pretrained encoder, each (n, d) float32."""

        def compute(part: LabelledPictures) -> NDArray[np.float32]:
            encode = pretrained(encoder, side)
            return stack_batches(map(encode, prepared_batches(part, Preprocessing(side))), len(part))

        return self._both(f"{encoder}-{side}", compute)

    def copies(self, encoder: str, side: int, edit: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Features of an edited copy of the gallery pictures in these rows, (n, d) float32."""

        def compute() -> NDArray[np.float32]:
            encode, pictures = pretrained(encoder, side), self.split.gallery.subset(rows)
            return stack_batches(
                map(encode, edited_pictures(pictures, edit, Preprocessing(side))), len(pictures)
            )

        path = self.folder / f"{encoder}-{side}-{edit}-{len(rows)}.npy"
        return _shared_array(path, compute).astype(np.float32)

    def _both(self, stem: str, compute: Callable[[LabelledPictures], NDArray[Any]]) -> tuple[Any, Any]:
        queries = self._in_parts(f"{stem}-queries", self.split.queries, compute)
        gallery = self._in_parts(f"{stem}-gallery", self.split.gallery, compute)
        return queries, gallery

    def _in_parts(
        self, stem: str, pictures: LabelledPictures, compute: Callable[[LabelledPictures], NDArray[Any]]
    ) -> NDArray[Any]:
        """Compute and keep an array a few thousand pictures at a time, so that a killed run resumes there."""
        parts = {
            self.folder / f"{stem}.{start}.npy": np.arange(start, min(start + PART, len(pictures)))
            for start in range(0, len(pictures), PART)
        }

        def join() -> NDArray[Any]:
            computed = [
                cached_array(path, partial(compute, pictures.subset(rows))) for path, rows in parts.items()
            ]
            return np.concatenate(computed)

        whole = _shared_array(self.folder / f"{stem}.npy", join)
        for path in parts:
            path.unlink(missing_ok=True)
        return whole


class Part(StrEnum):
    """A part of a run's cells; processes that compute different parts can share a folder."""

    METHODS = "methods"
    """Hash methods, baselines and float features, but for Table IV."""
    LABELS = "labels"
    """Table IV."""
    NETWORKS = "networks"
    """Everything that trains the paper's network."""
    TIMES = "times"
    """Table III, which needs a quiet machine."""


class InProgress(Exception):
    """Another process is computing what this one asked for."""


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keep other processes from computing the file at ``path``; a killed process loses its claim.

    Raises:
        InProgress: Another process has the claim.
    """
    lock = path.parent.parent / "claims" / f"{path.parent.name}-{path.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InProgress(path.name) from error
        yield


def _shared_array(path: Path, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Load an array; compute and store it if it is missing.

    Raises:
        InProgress: Another process is computing it.
    """
    if not path.exists():
        with claimed(path):
            cached_array(path, compute)
    return cached_array(path, compute)


class Unfinished(dict[str, Any]):
    """Placeholder for an unfinished cell, at any depth."""

    def __missing__(self, key: str) -> "Unfinished":
        return self


@dataclass(frozen=True, eq=False)
class Workspace:
    """A folder of results, which processes may share; existing cells are not computed again.

    Attributes:
        folder: Folder of results.
        data_dir: Folder that contains the collections.
        most: Limit on gallery pictures per collection; None for no limit.
        parts: Parts whose missing cells are computed; other missing cells are ``Unfinished``.
    """

    folder: Path
    data_dir: Path
    most: int | None = None
    parts: frozenset[Part] = frozenset(Part)
    in_progress: set[str] = field(default_factory=set)
    """Cells that were left to other processes."""
    _memory: dict[str, Any] = field(default_factory=dict)

    def material(self, collection: str) -> CollectionData:
        """Load a collection by name, with at most ``most`` gallery pictures."""

        def load() -> CollectionData:
            split = COLLECTIONS[collection](self.data_dir)
            if self.most is not None and len(split.gallery) > self.most:
                split = _smaller(split, math.ceil(len(split.gallery) / self.most))
            return CollectionData(split, self.folder / "cache" / f"{collection}-{len(split.gallery)}")

        return self.remembered(collection, load)

    def name(self, collection: str) -> str:
        """Name of a collection with its number of gallery pictures, for cells and checkpoints."""
        return self.material(collection).folder.name

    def remembered(self, key: str, compute: Callable[[], T]) -> T:
        """Compute a value once per process, for use by several cells."""
        if key not in self._memory:
            self._memory[key] = compute()
        result: T = self._memory[key]
        return result

    def cell(
        self, key: str, compute: Callable[[], dict[str, Any]], part: Part = Part.METHODS
    ) -> dict[str, Any]:
        """Return the result stored under ``key``; compute and store it if it is missing.

        The result is ``Unfinished`` if another process is computing it, or something that it needs.

        Args:
            key: Name of the cell.
            compute: Returns the result.
            part: The part of the run that the cell belongs to.
        """
        path = self.folder / "cells" / f"{key}.json"
        if part not in self.parts and not path.exists():
            return Unfinished()
        if path.exists():
            return _read_cell(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with claimed(path):
                if not path.exists():
                    _write_cell(path, compute)
        except InProgress:
            self.in_progress.add(key)
            return Unfinished()
        return _read_cell(path)

    def checkpoint(self, key: str) -> Path:
        """Path of a training run's checkpoint."""
        return self.folder / "checkpoints" / f"{key}.pt"


def _read_cell(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def _write_cell(path: Path, compute: Callable[[], dict[str, Any]]) -> None:
    begin = time.perf_counter()
    text = json.dumps(compute(), indent=1)
    log.info("%s: %.0f s", path.stem, time.perf_counter() - begin)
    with NamedTemporaryFile("w", dir=path.parent, suffix=".json.writing", delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


def _smaller(split: Split, share: int) -> Split:
    """Keep one gallery picture in ``share``; since names are sorted, all kinds remain."""
    return replace(
        split,
        gallery=split.gallery.subset(np.arange(0, len(split.gallery), share)),
        rule=f"{split.rule}; of the gallery, by name, one picture in {share} from the first",
    )
