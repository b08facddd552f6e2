"""Encoder features of picture collections, cached on disk for later trainings on the same pictures."""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import pack_signs
from app.domain.ids import sha256_hex
from app.encoding.preprocess import Preprocessing, prepare
from app.learning.datasets.edits import edited
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import Split
from app.learning.nn.model import HashingModel
from app.learning.training.features.extraction import apply_module, run_onnx_graph
from app.learning.training.monitoring.progress_bar import with_progress
from app.learning.training.recipe import ArtifactSpec

BATCH: Final = 32
CACHE_BYTES: Final = 2 << 30

Codes = NDArray[np.uint64]
Features = NDArray[np.float32]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """A folder of feature arrays; the least recently used ones go when it grows past ``max_bytes``."""

    folder: Path
    max_bytes: int = CACHE_BYTES

    def get(self, key: str, compute: Callable[[], Features]) -> Features:
        """The array under ``key``, computed and written atomically if it is missing or damaged."""
        path = self.folder / f"{key}.npy"
        try:
            found: Features = np.load(path, allow_pickle=False)
        except (OSError, EOFError, ValueError):
            found = compute()
            self._write(path, found)
        else:
            path.touch()
            log.debug("read features of %d pictures from %s", len(found), path)
        return found

    def _write(self, path: Path, features: Features) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".writing", delete=False) as file:
            np.save(file, features, allow_pickle=False)
        Path(file.name).replace(path)
        newest_first = sorted(self.folder.glob("*.npy"), key=lambda kept: kept.stat().st_mtime, reverse=True)
        total = 0
        for kept in newest_first:
            total += kept.stat().st_size
            if total > self.max_bytes and kept != path:
                kept.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """Computes the first output of an ONNX graph for collections, through a cache if there is one."""

    graph: Path
    preprocessing: Preprocessing
    cache: FeatureCache | None = None

    def extract(self, pictures: LabelledPictures) -> Features:
        """Features of all pictures, in order, shape (n, d), float32."""
        return self._cached(pictures, "", lambda: self._run(prepared_batches(pictures, self.preprocessing)))

    def extract_edited(self, pictures: LabelledPictures, edit: str) -> Features:
        """Features of an edited copy of each picture, in order, shape (n, d), float32."""
        copies = with_progress(
            edited_pictures(pictures, edit, self.preprocessing),
            len(pictures),
            f"encoding {pictures.name}, {edit}",
            unit="pictures",
        )
        return self._cached(pictures, edit, lambda: self._run(copies))

    def _run(self, batches: Iterable[NDArray[np.uint8]]) -> Features:
        return run_onnx_graph(self.graph, batches)[0].astype(np.float32)

    def _cached(self, pictures: LabelledPictures, edit: str, compute: Callable[[], Features]) -> Features:
        if self.cache is None:
            return compute()
        what = (sha256_hex(self.graph.read_bytes()), self.preprocessing, pictures.checksum(), edit)
        return self.cache.get(sha256_hex(repr(what).encode()), compute)


@dataclass(frozen=True, eq=False)
class SplitFeatures:
    """Encoder outputs for both parts of a split, (n, d) and (q, d) float32."""

    gallery: Features
    queries: Features

    @classmethod
    def of(cls, extractor: FeatureExtractor, split: Split) -> "SplitFeatures":
        """Features of gallery and queries."""
        return cls(extractor.extract(split.gallery), extractor.extract(split.queries))

    def codes(self, model: HashingModel, spec: ArtifactSpec) -> tuple[Codes, Codes]:
        """Codes of the queries and of the gallery, shapes (q, words) and (n, words), uint64."""
        layer = model.hash_layers[spec.output]
        queries, gallery = (
            pack_signs(apply_module(layer, apply_module(model.preparation, part)))
            for part in (self.queries, self.gallery)
        )
        return queries, gallery


def prepared_batches(pictures: LabelledPictures, how: Preprocessing) -> Iterator[NDArray[np.uint8]]:
    """All pictures as batches of encoder inputs, with progress."""
    batches = pictures.prepared(how, BATCH)
    return with_progress(batches, len(pictures), f"encoding {pictures.name}", unit="pictures", size=BATCH)


def edited_pictures(pictures: LabelledPictures, edit: str, how: Preprocessing) -> Iterator[NDArray[np.uint8]]:
    """An edited copy of each picture as an encoder input, in batches of one."""
    for i in range(len(pictures)):
        yield prepare(edited(pictures.pixels(i), edit, i), how)[np.newaxis]
