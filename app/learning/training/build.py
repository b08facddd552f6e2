"""Make a shipped artifact from the data: ``lookalike models build NAME``."""

import argparse
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from app.domain.codes import pack_signs
from app.encoding.artifact import Artifact, Canary, write_artifact
from app.encoding.encoder import OnnxEncoder
from app.encoding.manifest import FORMAT, DescriptorSpec, Manifest, PreprocessingSpec, PretrainedSpec
from app.encoding.preprocess import prepare
from app.learning.datasets.caltech101 import split_caltech101
from app.learning.datasets.edits import EDITS, edited
from app.learning.datasets.pictures import LabelledPictures
from app.learning.datasets.splits import Split
from app.learning.evaluation.calibration import pair_distances, quantiles
from app.learning.evaluation.metrics import figures, rank_codes, rank_features
from app.learning.nn.encoders.registry import load_encoder
from app.learning.nn.model import Descriptor, HashingModel
from app.learning.nn.preparation import Preparation
from app.learning.training.canary import draw_canary
from app.learning.training.card import model_card
from app.learning.training.export import export_fp32, quantise
from app.learning.training.features import apply, extract
from app.learning.training.methods.base import TrainingSet
from app.learning.training.recipe import RECIPES, Recipe

log = logging.getLogger("app.learning.training.build")

CALIBRATION_PICTURES: Final = 256
COPIED_PICTURES: Final = 300
CODE_LICENCE: Final = "Apache-2.0"


@dataclass(frozen=True, eq=False)
class Features:
    """Encoder outputs for both parts of the split, (n, d) and (q, d) float32."""

    gallery: NDArray[np.float32]
    queries: NDArray[np.float32]


def build(name: str, data_dir: Path, out_dir: Path) -> Artifact:
    """Fit, export, quantise, measure and write one artifact.

    Args:
        name: A key of ``RECIPES``.
        data_dir: Folder with the collections that the recipe fits on.
        out_dir: ``model_artifacts``, or another parent.

    Raises:
        KeyError: There is no such recipe.
        FileNotFoundError: The data are not there.
        app.domain.errors.ArtifactRefused: What was built does not do what it should.
    """
    recipe = RECIPES[name]
    split = split_caltech101(data_dir)
    encoder = load_encoder(recipe.encoder, recipe.preprocessing.input_size)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        calibration = _calibration_pictures(split.gallery, recipe)
        trunk = _export(encoder, recipe, ["features"], folder, "trunk", calibration)
        log.info("encoder exported; extracting features of %d pictures", len(split.gallery))
        int8, fp32 = (_features(path, split, recipe) for path in (trunk.int8, trunk.fp32))
        model = fit(recipe, encoder, int8.gallery)
        whole = _export(model, recipe, model.output_names, folder, "model", calibration)
        canary = _canary(whole.int8, recipe)
        metrics = _metrics(recipe, model, split, int8, fp32)
        copies = _copy_distances(recipe, whole.int8, split.queries)
        manifest = _manifest(recipe, model, split, metrics, _calibrate(model, split, int8, copies))
        artifact = write_artifact(
            out_dir,
            manifest,
            encoder=whole.int8,
            weights=_trained_weights(model),
            canary=canary,
            extra={"README.md": model_card(manifest)},
        )
    OnnxEncoder(artifact)
    return artifact


def fit(recipe: Recipe, encoder: nn.Module, features: NDArray[np.float32]) -> HashingModel:
    """Learn everything that follows the encoder from its features, (n, d) float32."""
    preparation = Preparation.fit(features, recipe.prepared_dim, whiten=recipe.whiten)
    prepared = apply(preparation, features)
    layer = recipe.method.fit(TrainingSet(prepared), recipe.bits, recipe.seed)
    descriptor = None
    if recipe.descriptor_dim is not None:
        reduce = Preparation.fit(features, recipe.descriptor_dim, whiten=recipe.whiten)
        largest = float(np.percentile(np.abs(apply(reduce, features)), 99.9))
        descriptor = Descriptor(reduce, recipe.descriptor_dim, scale=127 / largest)
    return HashingModel(encoder, preparation, {"y": layer}, descriptor)


@dataclass(frozen=True, slots=True)
class _Exported:
    fp32: Path
    int8: Path


def _export(
    module: nn.Module,
    recipe: Recipe,
    outputs: list[str],
    folder: Path,
    stem: str,
    calibration: NDArray[np.uint8],
) -> _Exported:
    paths = _Exported(folder / f"{stem}.fp32.onnx", folder / f"{stem}.int8.onnx")
    export_fp32(module, recipe.preprocessing.input_size, outputs, paths.fp32)
    quantise(paths.fp32, paths.int8, (calibration[i : i + 1] for i in range(len(calibration))))
    return paths


def _calibration_pictures(gallery: LabelledPictures, recipe: Recipe) -> NDArray[np.uint8]:
    rows = np.linspace(0, len(gallery) - 1, CALIBRATION_PICTURES).astype(np.int64)
    return np.concatenate(list(gallery.subset(rows).prepared(recipe.preprocessing)))


def _features(graph: Path, split: Split, recipe: Recipe) -> Features:
    gallery, queries = (
        extract(graph, part.prepared(recipe.preprocessing))[0].astype(np.float32)
        for part in (split.gallery, split.queries)
    )
    return Features(gallery, queries)


def _codes(model: HashingModel, features: NDArray[np.float32]) -> NDArray[np.uint64]:
    return pack_signs(apply(model.hash_layers["y"], apply(model.preparation, features)))


def _canary(graph: Path, recipe: Recipe) -> Canary:
    """Its margin is what rounding can do at worst: the same graph with every convolution computed in float."""
    pixels = draw_canary()
    batch = prepare(pixels, recipe.preprocessing)[np.newaxis]
    y, unfused = (
        ort.InferenceSession(graph, _options(level), providers=["CPUExecutionProvider"]).run(
            ["y"], {"pixels": batch}
        )[0][0]
        for level in (ort.GraphOptimizationLevel.ORT_ENABLE_ALL, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    )
    return Canary(pixels, y, margin=max(1e-3, 2 * float(np.abs(y - unfused).max())))


def _options(level: ort.GraphOptimizationLevel) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    return options


def _metrics(
    recipe: Recipe, model: HashingModel, split: Split, int8: Features, fp32: Features
) -> list[dict[str, Any]]:
    protocol = {
        "collection": split.gallery.name,
        "split": split.rule,
        "gallery": len(split.gallery),
        "queries": len(split.queries),
        "relevant": "same kind",
        "ties": "expected over every order of equals",
        "gallery_sha256": split.gallery.checksum(),
        "queries_in_gallery": split.overlap(),
    }
    labels = split.queries.labels, split.gallery.labels
    found = []
    for precision, features in (("int8", int8), ("fp32", fp32)):
        unit_q, unit_g = (
            f / np.linalg.norm(f, axis=1, keepdims=True) for f in (features.queries, features.gallery)
        )
        by_code = rank_codes(
            _codes(model, features.queries), labels[0], _codes(model, features.gallery), labels[1], recipe.bits
        )
        by_feature = rank_features(unit_q, labels[0], unit_g, labels[1])
        for ranking, rankings in (("hamming", by_code), ("float features, cosine", by_feature)):
            figure = figures(rankings).as_dict()
            found.append({"encoder": precision, "ranking": ranking, **figure, "protocol": protocol})
            log.info("%s, %s: %s", precision, ranking, figure)
    return found


def _copy_distances(recipe: Recipe, graph: Path, pictures: LabelledPictures) -> dict[str, NDArray[np.int64]]:
    rows = np.linspace(0, len(pictures) - 1, COPIED_PICTURES).astype(np.int64)
    some = pictures.subset(rows)
    originals = pack_signs(extract(graph, some.prepared(recipe.preprocessing))[0].astype(np.float32))
    distances = {}
    for edit in EDITS:
        batches = (
            prepare(edited(some.pixels(i), edit, i), recipe.preprocessing)[np.newaxis] for i in range(len(some))
        )
        copies = pack_signs(extract(graph, batches)[0].astype(np.float32))
        distances[edit] = np.bitwise_count(originals ^ copies).sum(axis=1, dtype=np.int64)
    return distances


def _calibrate(
    model: HashingModel, split: Split, features: Features, copies: dict[str, NDArray[np.int64]]
) -> dict[str, Any]:
    alike, unlike = pair_distances(
        _codes(model, features.queries),
        split.queries.labels,
        _codes(model, features.gallery),
        split.gallery.labels,
    )
    pairs = {"copies": np.concatenate(list(copies.values())), "same_kind": alike, "unrelated": unlike}
    return {
        "collection": split.gallery.name,
        "quantiles": quantiles(pairs),
        "copies_by_edit": quantiles(copies),
    }


def _manifest(
    recipe: Recipe,
    model: HashingModel,
    split: Split,
    metrics: list[dict[str, Any]],
    calibration: dict[str, Any],
) -> Manifest:
    pretrained = model.encoder.pretrained
    descriptor = model.descriptor
    return Manifest(
        format=FORMAT,
        name=recipe.name,
        bits=recipe.bits,
        summary=recipe.summary,
        preprocessing=PreprocessingSpec.of(recipe.preprocessing),
        descriptor=DescriptorSpec(dim=descriptor.dim, scale=descriptor.scale) if descriptor else None,
        licence=CODE_LICENCE,
        pretrained=[PretrainedSpec(**pretrained.as_dict())] if pretrained else [],
        training={
            "encoder": recipe.encoder,
            "method": recipe.method.name,
            "source": recipe.method.source,
            "settings": recipe.method.settings(),
            "prepared_dim": recipe.prepared_dim,
            "whiten": recipe.whiten,
            "seed": recipe.seed,
            "labels_used": recipe.method.needs_labels,
            "data": [{"collection": split.gallery.name, "part": "gallery", "pictures": len(split.gallery)}],
            "precision": "int8 convolutions (7-bit weights), float32 hash layer",
            "runtime": {"onnxruntime": ort.__version__, "torch": torch.__version__, "numpy": np.__version__},
        },
        metrics=metrics,
        calibration=calibration,
    )


def _trained_weights(model: HashingModel) -> bytes:
    """What was learned here, as safetensors; the encoder's weights are named by package and sha256 instead."""
    state = {
        key: value.contiguous() for key, value in model.state_dict().items() if not key.startswith("encoder.")
    }
    return save(state)


def main() -> None:
    """``python -m app.learning.training.build NAME --data DIR --out DIR``."""
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("app").setLevel(logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, required=True, help="folder with the collections")
    parser.add_argument("--out", type=Path, default=Path("model_artifacts"), help="folder of artifacts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    artifact = build(arguments.name, arguments.data, arguments.out)
    log.info("%s written to %s", artifact.name, artifact.folder)


if __name__ == "__main__":
    main()
