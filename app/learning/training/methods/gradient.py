"""What hash methods share that learn by gradient descent on features in memory."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from app.learning.nn.hash_layer import MlpHash
from app.learning.training.methods.base import HashMethod, TrainingSet


class Objective(nn.Module):
    """The loss of one batch, given by its rows in the training set.

    Attributes:
        layer: The hash layer that is learned.
        features: Prepared features, shape (n, d), float32.
    """

    def __init__(self, layer: nn.Module, training: TrainingSet) -> None:
        super().__init__()
        self.layer = layer
        self.features = torch.from_numpy(np.ascontiguousarray(training.features))

    @abstractmethod
    def forward(self, rows: Tensor, rng: np.random.Generator) -> Tensor:
        """The loss of the pictures of these rows, shape (batch,), int64."""


@dataclass(frozen=True)
class GradientMethod(HashMethod):
    """A hidden layer and bits, trained by AdamW with a cosine schedule."""

    epochs: int = 20
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    hidden: int = 512
    """Units of the hash layer's hidden layer."""

    def fit(self, training: TrainingSet, bits: int, seed: int) -> nn.Module:
        """Learn a layer from (n, d) to (n, bits), in evaluation mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layer = self.new_layer(training, bits, seed)
            self._descend(self.objective(layer, training, bits), np.random.default_rng(seed))
        return layer.eval().requires_grad_(False)

    def new_layer(self, training: TrainingSet, bits: int, seed: int) -> nn.Module:  # noqa: ARG002 - for overriders
        """The layer before training."""
        return MlpHash(training.features.shape[1], bits, self.hidden)

    @abstractmethod
    def objective(self, layer: nn.Module, training: TrainingSet, bits: int) -> Objective:
        """What the layer should minimise; its own parameters are trained along."""

    def _descend(self, objective: Objective, rng: np.random.Generator) -> None:
        n = len(objective.features)
        batch = min(self.batch, n)
        steps = max(1, n // batch)
        optimiser = torch.optim.AdamW(
            objective.parameters(), self.learning_rate, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.epochs * steps)
        objective.train()
        for _ in range(self.epochs):
            order = torch.from_numpy(rng.permutation(n))
            for step in range(steps):
                loss = objective(order[step * batch : (step + 1) * batch], rng)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
