"""Represent pictures by a model and by baselines that need no learning, for the same ranking protocol."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from app.domain.codes import pack_signs, words_for
from app.domain.perceptual import HASH_BITS
from app.encoding.artifact import Artifact
from app.encoding.perceptual import perceptual_hash as pdq
from app.encoding.preprocess import prepare
from app.learning.research.baselines import PHASH_SIDE, colour_histogram, difference_hash, perceptual_hash
from app.learning.training.artifacts.onnx_export import EncoderGraph

Pixels = NDArray[np.uint8]
Vectors = NDArray[Any]
"""Codes (n, words) uint64, or vectors (n, d) of which the cosine is taken."""

HISTOGRAM_SIDE: Final = 64


@dataclass(frozen=True, slots=True)
class Representation:
    """One row of the tables: how pictures are represented and ranked."""

    name: str
    vectors: str
    """Key of the vectors that rank; codes rank by Hamming distance, others by cosine."""
    first_by: str | None = None
    """Key of the vectors that choose the candidates which ``vectors`` ranks; None to rank everything."""
    exists: str | None = None
    """Key of whether a picture has a vector; None if all have. Without one it comes last, and finds none."""


class Representations:
    """Computes all vectors of a picture in one pass."""

    def __init__(self, artifact: Artifact, folder: Path) -> None:
        """Open the model.

        Args:
            artifact: The model to measure.
            folder: For temporary files.
        """
        self._how = artifact.preprocessing
        self._bits = artifact.bits
        manifest = artifact.manifest
        outputs = {"code": manifest.y_output}
        if manifest.descriptor is not None:
            outputs["descriptor"] = manifest.descriptor.output
        graph = folder / "with_features.onnx"
        try:
            outputs["features"] = EncoderGraph(artifact.encoder_path).save_with_features(
                list(outputs.values()), graph
            )
        except ValueError:  # an encoder without pooled features
            graph = artifact.encoder_path
        self._outputs = outputs
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.rows = self._rows(artifact)

    def _rows(self, artifact: Artifact) -> list[Representation]:
        rows = [Representation(f"{artifact.name}, code", "code")]
        if "descriptor" in self._outputs:
            rows.append(Representation(f"{artifact.name}, best 200 by descriptor", "descriptor", "code"))
        if "features" in self._outputs:
            rows.append(Representation("float features", "features"))
        return [
            *rows,
            Representation("PDQ", "pdq", exists="has_pdq"),
            Representation("pHash", "phash"),
            Representation("dHash", "dhash"),
            Representation("colour histogram", "colour"),
        ]

    def of(self, pictures: Iterable[Pixels]) -> dict[str, Vectors]:
        """Represent pictures of shape (H, W, 3), uint8; the vectors by key, in the order of the pictures."""
        found: dict[str, list[NDArray[Any]]] = {}
        for pixels in pictures:
            for key, vector in self._represent(pixels).items():
                found.setdefault(key, []).append(vector)
        return {key: np.stack(vectors) for key, vectors in found.items()}

    def _represent(self, pixels: Pixels) -> Mapping[str, NDArray[Any]]:
        batch = prepare(pixels, self._how)[np.newaxis]
        values = self._session.run(list(self._outputs.values()), {"pixels": batch})
        vectors = {key: value[0] for key, value in zip(self._outputs, values, strict=True)}
        vectors["code"] = pack_signs(vectors["code"][np.newaxis].astype(np.float32))[0]
        for key in ("descriptor", "features"):
            if key in vectors:
                vectors[key] = _unit(vectors[key])
        hashed = pdq(pixels)
        return vectors | {
            # As in the service, a picture with too little detail has no hash.
            "pdq": np.zeros(words_for(HASH_BITS), np.uint64) if hashed is None else hashed.code,
            "has_pdq": np.array(hashed is not None),
            "phash": pack_signs(perceptual_hash(_resized(pixels, PHASH_SIDE)))[0],
            "dhash": pack_signs(difference_hash(_resized(pixels, 9, 8)))[0],
            "colour": colour_histogram(_resized(pixels, HISTOGRAM_SIDE))[0],
        }


def _resized(pixels: Pixels, width: int, height: int | None = None) -> Pixels:
    """One picture as a batch, (1, height, width, 3) uint8."""
    size = (width, height or width)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX, reducing_gap=None))[np.newaxis]


def _unit(vector: NDArray[Any]) -> NDArray[np.float32]:
    floats = vector.astype(np.float32)
    unit: NDArray[np.float32] = floats / max(float(np.linalg.norm(floats)), 1e-9)
    return unit
