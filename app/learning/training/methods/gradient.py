"""Shared base of hash methods that are trained by gradient descent on features in memory."""

import hashlib
import json
from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.learning.nn.hash_layer import MlpHash
from app.learning.training.methods.base import HashMethod, TrainingSet
from app.learning.training.monitoring.checkpoints import load_checkpoint, save_checkpoint
from app.learning.training.monitoring.progress_bar import with_progress

MIN_EPOCHS: Final = 20
MIN_STEPS: Final = 200
"""Steps of a fit whose epochs are chosen for the training set: small ones need more epochs."""


class Objective(nn.Module):
    """The loss of a batch, which is given by its rows in the training set.

    Attributes:
        layer: The hash layer to train.
        features: Prepared features, shape (n, d), float32.
    """

    def __init__(self, layer: nn.Module, training: TrainingSet) -> None:
        super().__init__()
        self.layer = layer
        self.features = torch.from_numpy(np.ascontiguousarray(training.features))

    @abstractmethod
    def forward(self, rows: Tensor, rng: np.random.Generator) -> Tensor:
        """The loss of the pictures in these rows, shape (batch,), int64."""


@dataclass(frozen=True)
class GradientMethod(HashMethod):
    """A hash layer with one hidden layer, trained with AdamW and a cosine schedule."""

    epochs: int | None = 20
    """None, where a method allows it, for a number that suits the size of the training set."""
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    hidden: int = 512
    """Units of the hidden layer."""

    def fit(self, training: TrainingSet, bits: int, seed: int) -> nn.Module:
        """Fit a layer from (n, d) to (n, bits) and return it in evaluation mode."""
        method = self.suited_to(training.targets)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layer = method.new_layer(training, bits, seed)
            objective = method.objective(layer, training, bits)
            identity = _identity(method, training, bits, seed) if training.checkpoint else ""
            method.minimise(objective, np.random.default_rng(seed), training, identity)
        return layer.eval().requires_grad_(False)

    def suited_to(self, features: NDArray[np.float32]) -> "GradientMethod":
        """Return the method with at least ``MIN_STEPS`` steps if its number of epochs is None."""
        if self.epochs is not None:
            return self
        steps_an_epoch = max(1, len(features) // self.batch)
        return replace(self, epochs=max(MIN_EPOCHS, -(-MIN_STEPS // steps_an_epoch)))

    def new_layer(self, training: TrainingSet, bits: int, seed: int) -> nn.Module:  # noqa: ARG002 - for overriders
        """The layer before training."""
        return MlpHash(training.features.shape[1], bits, self.hidden)

    @abstractmethod
    def objective(self, layer: nn.Module, training: TrainingSet, bits: int) -> Objective:
        """The loss to minimise; parameters of the objective are trained as well."""

    def minimise(
        self, objective: Objective, rng: np.random.Generator, training: TrainingSet, identity: str
    ) -> None:
        """Minimise the objective, from the training set's checkpoint if it is one of this fit.

        Args:
            objective: The loss, with the parameters to train.
            rng: Shuffles the pictures.
            training: Checkpoint and callback.
            identity: Digest of the fit.
        """
        epochs = self.epochs or MIN_EPOCHS
        batch = min(self.batch, len(objective.features))
        steps = max(1, len(objective.features) // batch)
        optimiser = torch.optim.AdamW(
            objective.parameters(), self.learning_rate, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * steps)
        state = _TrainingState(objective, optimiser, schedule, rng, identity)
        left = range(state.resume(training.checkpoint), epochs)
        for epoch in with_progress(left, len(left), f"fitting {self.name}", unit="epochs"):
            loss = state.run_epoch(batch, steps)
            state.save(training.checkpoint, epoch + 1)
            if training.on_epoch is not None:
                training.on_epoch(epoch + 1, epochs, loss, objective.layer)


@dataclass(frozen=True, slots=True)
class _TrainingState:
    """All state that changes between steps, so that a resumed run ends as an uninterrupted one."""

    objective: Objective
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator
    identity: str
    """Digest of what is fitted to what; a checkpoint with another one is ignored."""

    def run_epoch(self, batch: int, steps: int) -> float:
        """Train on all pictures once and return the mean loss."""
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

    def save(self, checkpoint: Path | None, epochs: int) -> None:
        """Write a checkpoint after ``epochs`` epochs."""
        if checkpoint is None:
            return
        state = {
            "identity": self.identity,
            "epochs": epochs,
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "torch_random": torch.get_rng_state(),
            "random": json.dumps(self.rng.bit_generator.state),
        }
        save_checkpoint(checkpoint, state)

    def resume(self, checkpoint: Path | None) -> int:
        """Restore the checkpoint and return the number of completed epochs."""
        state = None if checkpoint is None else load_checkpoint(checkpoint)
        if state is None or state.get("identity") != self.identity:
            return 0
        self.objective.load_state_dict(state["objective"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["torch_random"])
        self.rng.bit_generator.state = json.loads(state["random"])
        return int(state["epochs"])


def _identity(method: GradientMethod, training: TrainingSet, bits: int, seed: int) -> str:
    """Return a digest of a fit: the method with its settings, the code length, the seed and the data."""
    digest = hashlib.sha256(repr((method, bits, seed)).encode())
    for part in (training.features, training.labels, training.views, training.teacher):
        if part is not None:
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
