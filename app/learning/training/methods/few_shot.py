"""A few labels a kind: guess the others by logistic regression, then learn as if all were known."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression
from torch import nn

from app.learning.training.methods.base import TrainingSet
from app.learning.training.methods.supervised import SupervisedContrast


@dataclass(frozen=True)
class FewShot(SupervisedContrast):
    """Pseudo-labels, of which the less certain are left unknown."""

    name: ClassVar[str] = "few_shot"
    source: ClassVar[str] = "Lee: Pseudo-Label, ICML workshop 2013; logistic regression as the first classifier"

    inverse_regularisation: float = 10.0
    """C of the logistic regression on features scaled to components of about 1."""
    certain_share: float = 0.7
    """Share of the unlabelled pictures, the most certain ones, whose guess is believed."""
    contrast: float = 1.0

    def fit(self, training: TrainingSet, bits: int, seed: int) -> nn.Module:
        """Learn a layer from the labels ≥ 0 and the guesses for the rest.

        Raises:
            ValueError: The training set has no labels.
        """
        if training.labels is None:
            raise ValueError("few-shot learning needs some labels, and the training set has none")
        return super().fit(replace(training, labels=self.guess(training.features, training.labels)), bits, seed)

    def guess(self, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Labels with guesses where they were −1, and still −1 where the classifier is less certain.

        Args:
            features: Shape (n, d), float32.
            labels: Shape (n,), int64, −1 where unknown.
        """
        scaled = features * features.shape[1] ** 0.5
        known = labels >= 0
        classifier = LogisticRegression(C=self.inverse_regularisation / features.shape[1], max_iter=500)
        classifier.fit(scaled[known], labels[known])
        chances = classifier.predict_proba(scaled)
        certainty = chances.max(axis=1)
        guessed = classifier.classes_[chances.argmax(axis=1)].astype(np.int64)
        if not known.all():
            guessed[certainty < np.quantile(certainty[~known], 1 - self.certain_share)] = -1
        guessed[known] = labels[known]
        return guessed
