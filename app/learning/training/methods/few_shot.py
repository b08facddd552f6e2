"""Few labels per kind: guess the missing labels, then learn as if all were known.

Labels are guessed in the diffusion embedding of all pictures, which separates kinds that overlap in feature
space: with ten labels per kind, .73 of a fifth of CIFAR-10's gallery are guessed correctly, against .68 in
feature space.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression
from torch import nn

from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.diffusion import diffusion_embedding
from app.learning.training.methods.supervised import SupervisedContrast


@dataclass(frozen=True)
class FewShot(SupervisedContrast):
    """Supervised contrast on pseudo-labels; uncertain pictures stay unlabelled."""

    name: ClassVar[str] = "few_shot"
    source: ClassVar[str] = (
        "Lee: Pseudo-Label, ICML workshop 2013; logistic regression on diffusion maps as the first classifier"
    )

    partial_labels: ClassVar[bool] = True

    inverse_regularisation: float = 1.0
    """C of the logistic regression on components scaled to about 1."""
    graph_neighbours: int = 10
    modes_a_kind: float = 2.5
    """Dimensions of the embedding per kind among the labels."""
    steps: int = 4
    certain_share: float = 0.7
    """Share of the unlabelled pictures, the most certain ones, whose guess is used."""
    temperature: float = 0.2
    reconstruction: float = 0.0
    decorrelation: float = 0.0

    def fit(self, training: TrainingSet, bits: int, seed: int) -> nn.Module:
        """Fit a layer to the known labels (≥ 0) and the guesses for the rest.

        Raises:
            ValueError: The training set has no labels.
        """
        if training.labels is None:
            raise ValueError("few-shot learning needs some labels, and the training set has none")
        return super().fit(replace(training, labels=self.guess(training.features, training.labels)), bits, seed)

    def guess(self, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Replace −1 by a guess; the less certain pictures stay −1.

        Args:
            features: Shape (n, d), float32.
            labels: Shape (n,), int64, −1 where unknown.
        """
        known = labels >= 0
        modes = round(self.modes_a_kind * len(np.unique(labels[known])))
        embedded = diffusion_embedding(features, self.graph_neighbours, modes, self.steps)
        scaled = embedded * embedded.shape[1] ** 0.5
        classifier = LogisticRegression(C=self.inverse_regularisation / embedded.shape[1], max_iter=500)
        classifier.fit(scaled[known], labels[known])
        chances = classifier.predict_proba(scaled)
        certainty = chances.max(axis=1)
        guessed = classifier.classes_[chances.argmax(axis=1)].astype(np.int64)
        if not known.all():
            guessed[certainty < np.quantile(certainty[~known], 1 - self.certain_share)] = -1
        guessed[known] = labels[known]
        return guessed
