"""Make artifacts from any collection: fit, export, measure, write."""

import logging
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from app.encoding.artifact import Artifact, Canary, write_artifact
from app.encoding.encoder import OnnxEncoder
from app.encoding.manifest import ENCODER, FORMAT, DescriptorSpec, Manifest, PreprocessingSpec, PretrainedSpec
from app.encoding.preprocess import Preprocessing, prepare
from app.learning.datasets.splits import Split
from app.learning.nn.encoders.registry import load_encoder
from app.learning.nn.model import HashingModel
from app.learning.training.canary import draw_canary
from app.learning.training.card import model_card
from app.learning.training.export import export_fp32, quantise
from app.learning.training.features import extract
from app.learning.training.fit import fit_model
from app.learning.training.measure import (
    Features,
    calibrate,
    edited_batches,
    measure,
    precision_difference,
    prepared,
)
from app.learning.training.networks import NETWORKS
from app.learning.training.recipe import RECIPES, Recipe, Sibling
from app.learning.training.watching import HeldOut, Watching

log = logging.getLogger(__name__)

CALIBRATION_PICTURES: Final = 256
LICENCE: Final = "Apache-2.0"
VIEWS: Final = ("crop_50", "mirror", "brightness_1.4")
"""Edits that methods learn from which contrast copies of a picture."""


def make_artifacts(
    recipe: Recipe, split: Split, out_dir: Path, *, watching: Watching | None = None
) -> list[Artifact]:
    """Fit on a split's gallery, export, quantise, measure on its queries, and write one folder a sibling.

    Args:
        recipe: What to make, on a pretrained encoder; methods that need labels get the gallery's.
        split: What to learn from and to measure on.
        out_dir: The artifacts' parent folder.
        watching: Who is told of each epoch, where the method has epochs.

    Raises:
        ValueError: There are too few pictures for that many bits.
    """
    how, longest = recipe.preprocessing, max(sibling.bits for sibling in recipe.siblings)
    if len(split.learned) <= longest:
        raise ValueError(
            f"{longest} bits are learned from more than {longest} pictures, not from {len(split.learned)}"
        )
    encoder = load_encoder(recipe.encoder, how.input_size)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        calibration = _calibration_pictures(split, how)
        trunk = _export(encoder, how, ["features"], folder / "trunk", calibration)
        log.info("encoder exported; extracting features of %d pictures twice", len(split.learned))
        # What is fitted sees the features of the encoder that serves, quantised as it is.
        order = ("int8", "fp32") if recipe.quantise else ("fp32", "int8")
        features = {precision: Features.of(getattr(trunk, precision), split, how) for precision in order}
        views = _views(recipe, getattr(trunk, order[0]), split)
        serving = features[order[0]]
        held_out = HeldOut(serving.gallery, serving.queries, split.gallery.labels, split.queries.labels)
        learned = _learned(serving, getattr(trunk, order[0]), split, how)
        labels = split.learned.labels
        model = fit_model(recipe, encoder, learned, labels, views, watching=watching, held_out=held_out)
        whole = _export(model, how, model.output_names, folder / "model", calibration)
        return write_siblings(recipe, model, split, getattr(whole, order[0]), features, out_dir)


def _learned(serving: Features, trunk: Path, split: Split, how: Preprocessing) -> NDArray[np.float32]:
    """Features of all that is learned from, (n, d), in the order of ``split.learned``."""
    if split.unlabelled is None:
        return serving.gallery
    unlabelled = extract(trunk, prepared(split.unlabelled, how))[0].astype(np.float32)
    return np.concatenate([serving.gallery, unlabelled])


def _views(recipe: Recipe, trunk: Path, split: Split) -> NDArray[np.float32] | None:
    """Features of edited copies of what is learned from, (v, n, d), if a sibling's method learns from them."""
    if not any(sibling.method.needs_views for sibling in recipe.siblings if sibling.method):
        return None
    pictures, how = split.learned, recipe.preprocessing
    log.info("extracting features of %d edited copies", len(VIEWS) * len(pictures))
    return np.stack([extract(trunk, edited_batches(pictures, edit, how))[0] for edit in VIEWS])


def write_siblings(
    recipe: Recipe,
    model: HashingModel,
    split: Split,
    graph: Path,
    features: dict[str, Features],
    out_dir: Path,
) -> list[Artifact]:
    """Measure and write every sibling; the first of ``features`` are those of the encoder that serves."""
    how, serving = recipe.preprocessing, next(iter(features.values()))
    written = []
    for sibling in recipe.siblings:
        calibration = calibrate(sibling, model, split, serving, graph, how)
        if len(features) > 1:
            calibration["int8_against_fp32"] = precision_difference(
                sibling, model, features["int8"], features["fp32"]
            )
        manifest = _manifest(recipe, sibling, model, split).model_copy(
            update={
                "metrics": measure(sibling, model, split, features, seed=recipe.seed),
                "calibration": calibration,
            }
        )
        artifact = write_artifact(
            out_dir,
            manifest,
            encoder=graph if sibling is recipe.siblings[0] else None,
            weights=_trained_weights(model, sibling),
            canary=_canary(graph, sibling.output, how),
            extra={"README.md": model_card(manifest, shipped=_is_shipped(recipe))},
        )
        OnnxEncoder(artifact)
        log.info("%s: %s", artifact.name, manifest.metrics[0])
        written.append(artifact)
    return written


@dataclass(frozen=True, slots=True)
class _Exported:
    fp32: Path
    int8: Path


def _export(
    module: nn.Module, how: Preprocessing, outputs: list[str], stem: Path, calibration: NDArray[np.uint8]
) -> _Exported:
    paths = _Exported(stem.with_suffix(".fp32.onnx"), stem.with_suffix(".int8.onnx"))
    export_fp32(module, how.input_size, outputs, paths.fp32)
    quantise(paths.fp32, paths.int8, (calibration[i : i + 1] for i in range(len(calibration))))
    return paths


def _calibration_pictures(split: Split, how: Preprocessing) -> NDArray[np.uint8]:
    learned = split.learned
    rows = np.linspace(0, len(learned) - 1, min(CALIBRATION_PICTURES, len(learned))).astype(np.int64)
    return np.concatenate(list(learned.subset(rows).prepared(how)))


def _canary(graph: Path, output: str, how: Preprocessing) -> Canary:
    """Its margin is twice what rounding can do at worst: the same graph with every convolution in float."""
    pixels = draw_canary()
    batch = prepare(pixels, how)[np.newaxis]
    levels = (ort.GraphOptimizationLevel.ORT_ENABLE_ALL, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    y, unfused = (_run_at(level, graph, output, batch) for level in levels)
    return Canary(pixels, y, margin=max(1e-3, 2 * float(np.abs(y - unfused).max())))


def _run_at(
    level: ort.GraphOptimizationLevel, graph: Path, output: str, batch: NDArray[np.uint8]
) -> NDArray[np.float32]:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    y: NDArray[np.float32] = session.run([output], {"pixels": batch})[0][0]
    return y


def _manifest(recipe: Recipe, sibling: Sibling, model: HashingModel, split: Split) -> Manifest:
    first, pretrained, descriptor = recipe.siblings[0], model.encoder.pretrained, model.descriptor
    return Manifest(
        format=FORMAT,
        name=sibling.name,
        bits=sibling.bits,
        summary=sibling.summary,
        preprocessing=PreprocessingSpec.of(recipe.preprocessing),
        encoder=ENCODER if sibling is first else f"../{first.name}/{ENCODER}",
        y_output=sibling.output,
        descriptor=DescriptorSpec(dim=descriptor.dim, scale=descriptor.scale) if descriptor else None,
        licence=LICENCE,
        pretrained=[PretrainedSpec(**pretrained.as_dict())] if pretrained else [],
        training=_training(recipe, sibling, split),
        metrics=[],
        calibration={},
    )


def _training(recipe: Recipe, sibling: Sibling, split: Split) -> dict[str, Any]:
    method = sibling.method
    if method is None:
        network = NETWORKS[recipe.network or ""]
        how = {
            "method": network.method,
            "source": network.source,
            "settings": {"epochs": recipe.epochs, "learning_rate": recipe.learning_rate},
            "labels_used": False,
        }
    else:
        how = {
            "method": method.name,
            "source": method.source,
            "settings": method.settings(),
            "prepared_dim": recipe.prepared_dim,
            "whiten": recipe.whiten,
            "descriptor_whiten": recipe.descriptor_whiten,
            "labels_used": method.needs_labels,
        }
    return {
        **how,
        "encoder": recipe.encoder,
        "seed": recipe.seed,
        "data": _data(split),
        "precision": recipe.precision,
        "runtime": {"onnxruntime": ort.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }


def _data(split: Split) -> list[dict[str, Any]]:
    """What was learned from; the checksum of the gallery is the protocol's."""
    learned: dict[str, Any] = {
        "collection": split.gallery.name,
        "part": "gallery",
        "pictures": len(split.gallery),
    }
    if split.unlabelled is None:
        return [learned]
    more = split.unlabelled
    checksum = more.checksum()
    return [learned, {"collection": more.name, "part": "unlabelled", "pictures": len(more), "sha256": checksum}]


def _is_shipped(recipe: Recipe) -> bool:
    return any(recipe.siblings is shipped.siblings for shipped in RECIPES.values())


def _trained_weights(model: HashingModel, sibling: Sibling) -> bytes:
    """What was learned here; weights of a pretrained encoder are named by package and sha256 instead."""
    kept: Iterable[str] = ("preparation.", f"hash_layers.{sibling.output}.", "descriptor.")
    if model.encoder.pretrained is None:
        kept = (*kept, "encoder.")
    state = model.state_dict()
    return save({key: value.contiguous() for key, value in state.items() if key.startswith(tuple(kept))})
