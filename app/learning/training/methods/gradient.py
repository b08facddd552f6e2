"""What hash methods share that learn by gradient descent on features in memory."""

import json
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from app.learning.nn.hash_layer import MlpHash
from app.learning.training.methods.base import HashMethod, TrainingSet
from app.learning.training.monitoring.checkpoints import load_checkpoint, save_checkpoint
from app.learning.training.monitoring.progress_bar import with_progress


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
            self._descend(self.objective(layer, training, bits), np.random.default_rng(seed), training)
        return layer.eval().requires_grad_(False)

    def new_layer(self, training: TrainingSet, bits: int, seed: int) -> nn.Module:  # noqa: ARG002 - for overriders
        """The layer before training."""
        return MlpHash(training.features.shape[1], bits, self.hidden)

    @abstractmethod
    def objective(self, layer: nn.Module, training: TrainingSet, bits: int) -> Objective:
        """What the layer should minimise; its own parameters are trained along."""

    def _descend(self, objective: Objective, rng: np.random.Generator, training: TrainingSet) -> None:
        batch = min(self.batch, len(objective.features))
        steps = max(1, len(objective.features) // batch)
        optimiser = torch.optim.AdamW(
            objective.parameters(), self.learning_rate, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.epochs * steps)
        descent = _Descent(objective, optimiser, schedule, rng)
        left = range(descent.resume(training.checkpoint), self.epochs)
        for epoch in with_progress(left, len(left), f"fitting {self.name}", unit="epochs"):
            loss = descent.epoch(batch, steps)
            descent.keep(training.checkpoint, epoch + 1)
            if training.on_epoch is not None:
                training.on_epoch(epoch + 1, self.epochs, loss, objective.layer)


@dataclass(frozen=True, slots=True)
class _Descent:
    """All that changes from step to step, so that a run that was killed ends as one that was not."""

    objective: Objective
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator

    def epoch(self, batch: int, steps: int) -> float:
        """Go through all pictures once; returns the mean loss."""
        self.objective.train()
        order = torch.from_numpy(self.rng.permutation(len(self.objective.features)))
        total = 0.0
        for step in range(steps):
            loss = self.objective(order[step * batch : (step + 1) * batch], self.rng)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.schedule.step()
            total += float(loss.detach())
        return total / steps

    def keep(self, checkpoint: Path | None, epochs: int) -> None:
        """Write how far this is."""
        if checkpoint is None:
            return
        state = {
            "epochs": epochs,
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "torch_random": torch.get_rng_state(),
            "random": json.dumps(self.rng.bit_generator.state),
        }
        save_checkpoint(checkpoint, state)

    def resume(self, checkpoint: Path | None) -> int:
        """Go back to what was kept; returns the epochs done."""
        state = None if checkpoint is None else load_checkpoint(checkpoint)
        if state is None:
            return 0
        self.objective.load_state_dict(state["objective"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["torch_random"])
        self.rng.bit_generator.state = json.loads(state["random"])
        return int(state["epochs"])
