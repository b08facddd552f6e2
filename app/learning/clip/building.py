"""Make the artifact of an exported pair of encoders: fit its hash layer, extend its graphs, write its card."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from safetensors.numpy import save

from app.domain.ids import sha256_hex
from app.encoding.artifact import Artifact, TextTowerFiles, write_artifact
from app.encoding.encoder import OnnxEncoder
from app.encoding.manifest import FORMAT, ArtifactManifest, PreprocessingSpec, PretrainedSpec
from app.encoding.text_tower import TextTower
from app.learning.clip.exports import TEXTUAL, VISUAL, ClipExport
from app.learning.clip.graphs import Y, save_picture_graph, save_text_graph
from app.learning.clip.hash_layer import FIRST, SEED, SOURCE, ClipHashLayer, default_bits, shared_of_first
from app.learning.training.artifacts.canary import compute_canary
from app.learning.training.artifacts.card import model_card
from app.words.vocabulary import vocabulary

UNKNOWN_LICENCE: Final = "not stated"
_UNKNOWN: Final = "not stated in the export"


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """A model to make of an export."""

    name: str
    bits: int | None = None
    """None for the longest code length that the pictures allow, up to 256."""
    licence: str = UNKNOWN_LICENCE
    """Licence of the weights, for the card."""


def build_clip_artifact(
    request: ClipRequest,
    export: ClipExport,
    features: NDArray[np.float32],
    data: Sequence[dict[str, Any]],
    out_dir: Path,
    *,
    on_step: Callable[[int, int], None],
) -> Artifact:
    """Fit the hash layer to the features of pictures and write the artifact.

    Args:
        request: Name and code length of the model.
        export: The pair of encoders.
        features: Features of pictures, of unit length, shape (n, d).
        data: The collections that the pictures are from, for the card.
        out_dir: Parent folder of the artifact.
        on_step: Receives the numbers of encoded and of all texts.

    Raises:
        ValueError: There are too few pictures, or features, for the code length.
        ArtifactRefused: The written artifact fails its own verification.
    """
    bits = request.bits or default_bits(len(features), export.dim)
    if not bits <= export.dim or not bits < len(features):
        raise ValueError(
            f"{bits} bits need more than {bits} pictures and at least {bits} features; there are "
            f"{len(features):,} and {export.dim}"
        )
    names = vocabulary().class_names
    text_features = np.empty((len(names), export.dim), np.float32)
    for i, name in enumerate(names):
        text_features[i] = export.text_features(name)
        on_step(i + 1, len(names))
    layer = ClipHashLayer.fit(features, text_features.mean(axis=0, dtype=np.float64).astype(np.float32), bits)
    manifest = _manifest(request, export, bits, list(data))
    if len(features) >= FIRST:
        shared = shared_of_first(layer, features, text_features)
        figures = {"texts": len(names), "pictures": len(features), "shared_of_first_ten": round(shared, 4)}
        manifest = manifest.model_copy(update={"calibration": {"text_tower": figures}})
    weights = {"mean": layer.mean, "text_mean": layer.text_mean, "projection": layer.projection}
    with tempfile.TemporaryDirectory() as scratch:
        graph, text_graph = Path(scratch) / "pictures.onnx", Path(scratch) / "texts.onnx"
        save_picture_graph(export, layer, graph)
        save_text_graph(export, layer, text_graph)
        artifact = write_artifact(
            out_dir,
            manifest,
            encoder=graph,
            weights=save(weights),
            canary=compute_canary(graph, Y, export.preprocessing),
            class_weights=layer.of_texts(text_features),
            text_tower=TextTowerFiles(text_graph, export.tokenizer_path),
            extra={"README.md": model_card(manifest, shipped=False)},
        )
    OnnxEncoder(artifact)
    TextTower(artifact)
    return artifact


def _manifest(
    request: ClipRequest, export: ClipExport, bits: int, data: list[dict[str, Any]]
) -> ArtifactManifest:
    versions = {"onnxruntime": ort.__version__, "onnx": onnx.__version__, "numpy": np.__version__}
    return ArtifactManifest(
        format=FORMAT,
        name=request.name,
        bits=bits,
        summary=f"Encoders of pictures and texts from {export.folder.resolve().name}, with one hash layer.",
        preprocessing=PreprocessingSpec.of(export.preprocessing),
        y_output=Y,
        text_tower=export.tower,
        licence=request.licence,
        pretrained=[
            PretrainedSpec(
                package=export.folder.resolve().name,
                version=_UNKNOWN,
                file=name,
                sha256=sha256_hex(path.read_bytes()),
                licence=request.licence,
                trained_on=_UNKNOWN,
                source=_UNKNOWN,
            )
            for name, path in ((VISUAL, export.visual_path), (TEXTUAL, export.textual_path))
        ],
        training={
            "method": "itq",
            "source": SOURCE,
            "settings": {},
            "labels_used": False,
            "encoder": export.folder.resolve().name,
            "seed": SEED,
            "data": data,
            "runtime": versions,
        },
        metrics=[],
        calibration={},
    )
