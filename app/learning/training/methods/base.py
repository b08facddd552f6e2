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
"""Called with (epoch from 1, number of epochs, mean loss, layer)."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Data that a method may learn from."""

    features: NDArray[np.float32]
    """Prepared features of the gallery, shape (n, d), float32."""
    labels: NDArray[np.int64] | None = None
    """Kind of each picture, shape (n,), −1 where unknown; None if the method uses no labels."""
    views: NDArray[np.float32] | None = None
    """Prepared features of edited copies of each picture, shape (v, n, d), or None."""
    teacher: NDArray[np.float32] | None = None
    """Features of the same pictures by which a method with ``uses_teacher`` judges how similar pictures are, of
    unit length, shape (n, t), float32; None for ``features``."""
    checkpoint: Path | None = None
    """File from which methods with epochs resume."""
    on_epoch: EpochCallback | None = None
    """Called after each epoch by methods with epochs; may raise to end the training."""

    @property
    def targets(self) -> NDArray[np.float32]:
        """The features that say how similar pictures are: the teacher's, or ``features``."""
        return self.features if self.teacher is None else self.teacher


@dataclass(frozen=True)
class HashMethod(ABC):
    """Fits a hash layer; the fields of the dataclass are its settings."""

    name: ClassVar[str]
    """Name in recipes and reports."""
    source: ClassVar[str]
    """The publication that the method follows."""
    needs_labels: ClassVar[bool] = False
    partial_labels: ClassVar[bool] = False
    """Whether labels of some pictures are enough, the others being used without."""
    needs_views: ClassVar[bool] = False
    uses_teacher: ClassVar[bool] = False
    """Whether similar pictures can be found by features of other encoders, ``TrainingSet.teacher``."""

    @abstractmethod
    def fit(self, training: TrainingSet, bits: int, seed: int) -> nn.Module:
        """Fit a layer from (n, d) to y (n, bits) and return it in evaluation mode."""

    def suited_to(self, features: NDArray[np.float32]) -> "HashMethod":
        """Return the method with settings chosen for the training set where they are None.

        Args:
            features: ``TrainingSet.targets``, shape (n, d), float32.
        """
        del features
        return self

    def settings(self) -> dict[str, Any]:
        """The settings by name, as stored in reports and model.json."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
