"""Codes and descriptors of pictures and of their edited copies, under a model in training or a finished one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from app.domain.codes import pack_signs
from app.encoding.artifact import Artifact
from app.learning.datasets.pictures import LabelledPictures
from app.learning.nn.model import HashingModel
from app.learning.training.artifacts.onnx_export import EncoderGraph, save_output
from app.learning.training.features.extraction import apply_module
from app.learning.training.features.split_features import FeatureCache, FeatureExtractor

BATCH = 4096

Floats = NDArray[np.float32]
Describe = Callable[[Floats], NDArray[np.int8]]
"""Maps encoder features (n, d) to descriptors (n, m)."""


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """Codes and descriptors of n pictures."""

    codes: NDArray[np.uint64]
    """Shape (n, words)."""
    descriptors: NDArray[np.int8] | None
    """Shape (n, m); None if the model has none."""


class OutputSource(Protocol):
    """Encodes pictures under one model."""

    def outputs(self, pictures: LabelledPictures, edit: str | None = None) -> Outputs:
        """Encode pictures, or an edited copy of each."""


@dataclass(frozen=True, slots=True)
class LayerOutputs:
    """Outputs of a model in training, from the features of its encoder."""

    extractor: FeatureExtractor
    model: HashingModel
    output: str
    """Name of the output with y."""
    describe: Describe | None

    def outputs(self, pictures: LabelledPictures, edit: str | None = None) -> Outputs:
        """Encode pictures, or an edited copy of each."""
        features = features_of(self.extractor, pictures, edit)
        layer = self.model.hash_layers[self.output]
        y = apply_module(layer, apply_module(self.model.preparation, features))
        return Outputs(pack_signs(y), None if self.describe is None else self.describe(features))


class ArtifactOutputs:
    """Outputs of a finished model; features are shared with other models that have the same encoder."""

    def __init__(self, artifact: Artifact, folder: Path, cache: FeatureCache) -> None:
        """Cut the model's graph at the features of its encoder.

        If these cannot be distinguished from other tensors of the graph, only codes are computed, without
        descriptors.

        Args:
            artifact: The model.
            folder: For temporary files.
            cache: Keeps the features.
        """
        manifest = artifact.manifest
        encoder, head = (folder / f"{artifact.name}.{part}.onnx" for part in ("encoder", "head"))
        self._outputs = [manifest.y_output, *([manifest.descriptor.output] if manifest.descriptor else [])]
        self._head: ort.InferenceSession | None = None
        try:
            graph = EncoderGraph(artifact.encoder_path)
        except ValueError:
            save_output(artifact.encoder_path, manifest.y_output, encoder)
        else:
            self._features = graph.features
            graph.save_encoder(encoder)
            graph.save_head(self._outputs, head)
            options = ort.SessionOptions()
            options.intra_op_num_threads = 1
            self._head = ort.InferenceSession(head, options, providers=["CPUExecutionProvider"])
        self._extractor = FeatureExtractor(encoder, artifact.preprocessing, cache)

    def outputs(self, pictures: LabelledPictures, edit: str | None = None) -> Outputs:
        """Encode pictures, or an edited copy of each."""
        features = features_of(self._extractor, pictures, edit)
        if self._head is None:
            return Outputs(pack_signs(features), None)
        y, *descriptors = self._run(self._head, features)
        return Outputs(
            pack_signs(y.astype(np.float32)), descriptors[0].astype(np.int8) if descriptors else None
        )

    def describe(self, features: Floats) -> NDArray[np.int8]:
        """Map encoder features (n, d) to descriptors (n, m), int8.

        Raises:
            ValueError: The model has no descriptors, or its features are not known.
        """
        if self._head is None or len(self._outputs) < 2:
            raise ValueError("the model has no descriptors of features")
        return self._run(self._head, features)[1].astype(np.int8)

    def _run(self, head: ort.InferenceSession, features: Floats) -> list[NDArray[np.generic]]:
        parts = [
            head.run(self._outputs, {self._features: features[i : i + BATCH]})
            for i in range(0, len(features), BATCH)
        ]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]


def features_of(extractor: FeatureExtractor, pictures: LabelledPictures, edit: str | None) -> Floats:
    """Features of pictures, or of an edited copy of each, shape (n, d), float32."""
    return extractor.extract(pictures) if edit is None else extractor.extract_edited(pictures, edit)
