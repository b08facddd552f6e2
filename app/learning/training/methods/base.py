"""The interface of hash methods."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

EpochCallback = Callable[[int, int, float, nn.Module], None]
"""Told of (epoch from 1, epochs, mean loss, layer)."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """What a method may learn from."""

    features: NDArray[np.float32]
    """Prepared features of the gallery, shape (n, d), float32."""
    labels: NDArray[np.int64] | None = None
    """Kind of each picture, shape (n,), −1 where it is not known; None for methods that use no labels."""
    views: NDArray[np.float32] | None = None
    """Prepared features of edited copies of each picture, shape (v, n, d), or None."""
    checkpoint: Path | None = None
    """Where methods that learn in epochs go on from after a kill."""
    on_epoch: EpochCallback | None = None
    """Called after every epoch by methods that have epochs; may raise to end the training."""


@dataclass(frozen=True)
class HashMethod(ABC):
    """Learns a hash layer; its settings are the fields of its dataclass."""

    name: ClassVar[str]
    """How recipes and reports call the method."""
    source: ClassVar[str]
    """The publication that it follows."""
    needs_labels: ClassVar[bool] = False
    partial_labels: ClassVar[bool] = False
    """Whether a method that needs labels learns from pictures without one too."""
    needs_views: ClassVar[bool] = False

    @abstractmethod
    def fit(self, training: TrainingSet, bits: int, seed: int) -> nn.Module:
        """Learn a layer from (n, d) to y (n, bits), in evaluation mode."""

    def settings(self) -> dict[str, Any]:
        """The settings by name, as reports and model.json keep them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
