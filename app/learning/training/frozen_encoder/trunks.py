"""Frozen encoders as graphs: exported and quantised here, or taken unchanged from a shipped model."""

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from app.domain.errors import ArtifactRefused
from app.encoding.artifact import Artifact, load_artifact
from app.encoding.preprocess import Preprocessing
from app.learning.datasets.splits import Split
from app.learning.nn.encoders.base import PictureEncoder
from app.learning.nn.encoders.registry import load_encoder
from app.learning.nn.model import HashingModel
from app.learning.training.artifacts.onnx_export import EncoderGraph, export_fp32, quantise
from app.learning.training.features.split_features import FeatureCache, FeatureExtractor
from app.learning.training.recipe import RECIPES, Recipe

CALIBRATION_PICTURES: Final = 256
DESCRIPTOR: Final = "descriptor"

log = logging.getLogger(__name__)


class Trunk(ABC):
    """An encoder that computes features, and becomes part of the trained model.

    Attributes:
        encoder: The same encoder in torch.
        extractors: Computes features by precision, ``int8`` and ``fp32``; the precision that serves is first.
        shipped: The model that the encoder and the descriptor are taken from; None if they are made here.
    """

    encoder: PictureEncoder
    extractors: dict[str, FeatureExtractor]
    shipped: Artifact | None = None

    @property
    def serving(self) -> FeatureExtractor:
        """Computes the features to fit to: those of the encoder that will serve."""
        return next(iter(self.extractors.values()))

    @abstractmethod
    def assemble(self, model: HashingModel, folder: Path) -> Path:
        """Write the whole model as one graph in ``folder`` and return its path."""


def open_trunk(
    recipe: Recipe, split: Split, folder: Path, cache: FeatureCache, *, shipped_dir: Path | None
) -> Trunk:
    """Return the encoder of a recipe.

    Args:
        recipe: Names the encoder.
        split: Its training pictures calibrate an encoder that is quantised here.
        folder: For temporary files.
        cache: Keeps features.
        shipped_dir: Folder of artifacts. If a shipped model has the recipe's encoder, its graph is used, with
            its descriptor. None always exports the encoder.
    """
    shipped = None if shipped_dir is None else _shipped_with(recipe, shipped_dir)
    if shipped is not None:
        return ShippedTrunk(shipped, recipe, folder, cache)
    return ExportedTrunk(recipe, split, folder, cache)


def _shipped_with(recipe: Recipe, shipped_dir: Path) -> Artifact | None:
    """Return the first intact shipped model with the recipe's encoder, input and a descriptor."""
    for name, shipped in RECIPES.items():
        if (shipped.encoder, shipped.preprocessing) != (recipe.encoder, recipe.preprocessing):
            continue
        try:
            artifact = load_artifact(shipped_dir / name)
        except ArtifactRefused as refused:
            log.warning("the encoder of %s is not used: %s", name, refused.detail)
            continue
        if artifact.manifest.descriptor is not None:
            return artifact
    return None


class ShippedTrunk(Trunk):
    """The encoder and the descriptor of a shipped model: a model on it finds copies by the same descriptors."""

    def __init__(self, shipped: Artifact, recipe: Recipe, folder: Path, cache: FeatureCache) -> None:
        """Cut the encoder out of the shipped model's graph."""
        self.shipped = shipped
        self.encoder = load_encoder(recipe.encoder, recipe.preprocessing.input_size)
        self._graph = EncoderGraph(shipped.encoder_path)
        path = folder / "encoder.onnx"
        self._graph.save_encoder(path)
        self.extractors = {"int8": FeatureExtractor(path, recipe.preprocessing, cache)}

    def assemble(self, model: HashingModel, folder: Path) -> Path:
        """Write the shipped encoder and descriptor with the model's hash layers."""
        path = folder / "model.onnx"
        self._graph.save_with_heads(model.heads, list(model.hash_layers), [DESCRIPTOR], path)
        return path


class ExportedTrunk(Trunk):
    """A pretrained encoder, exported in float32 and quantised on the training pictures."""

    def __init__(self, recipe: Recipe, split: Split, folder: Path, cache: FeatureCache) -> None:
        """Export the encoder in both precisions."""
        self._how = recipe.preprocessing
        self.encoder = load_encoder(recipe.encoder, self._how.input_size)
        self._calibration = _calibration_pictures(split, self._how)
        graphs = self._export(self.encoder, ["features"], folder / "trunk")
        # The layers are fitted to the features of the encoder that serves, quantised as it is.
        order = ("int8", "fp32") if recipe.quantise else ("fp32", "int8")
        self.extractors = {
            precision: FeatureExtractor(graphs[precision], self._how, cache) for precision in order
        }

    def assemble(self, model: HashingModel, folder: Path) -> Path:
        """Export the whole model in the precision that serves."""
        return self._export(model, model.output_names, folder / "model")[next(iter(self.extractors))]

    def _export(self, module: nn.Module, outputs: list[str], stem: Path) -> dict[str, Path]:
        paths = {precision: stem.with_suffix(f".{precision}.onnx") for precision in ("fp32", "int8")}
        export_fp32(module, self._how.input_size, outputs, paths["fp32"])
        calibration = self._calibration
        quantise(paths["fp32"], paths["int8"], (calibration[i : i + 1] for i in range(len(calibration))))
        return paths


def _calibration_pictures(split: Split, how: Preprocessing) -> NDArray[np.uint8]:
    """Evenly spaced training pictures, prepared, whose activation ranges set the int8 scales."""
    pictures = split.training_pictures
    rows = np.linspace(0, len(pictures) - 1, min(CALIBRATION_PICTURES, len(pictures))).astype(np.int64)
    return np.concatenate(list(pictures.subset(rows).prepared(how)))
