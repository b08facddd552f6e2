"""Understand a text query: its phrases, their meanings, and weights of the bits of a code."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.words.meanings import Meaning, Relation, find_meanings, meanings_of, nearest_words
from app.words.phrases import Phrase, check_phrases, joined_phrases, parse_phrases

UNWANTED_WEIGHT: Final = 0.5
"""Weight of an unwanted phrase: a full one would favour pictures that show neither thing."""

MAX_PARTS: Final = 8
"""Groups of a broad word's kinds; a scan takes as long for each as for one word."""
KMEANS_ROUNDS: Final = 15

CONFIDENCE: Final = MappingProxyType({Relation.KINDS: 0.9, Relation.RELATED: 0.4})
"""Share of right pictures among the first ten, as measured in docs/research/text.md.

Only one name of the benchmark is a kind of a class, too few to measure.
"""
_DETERMINERS: Final = "a an the some any my our your his her their this that"
_MEDIA: Final = "of picture pictures photo photos image images"
FILLERS: Final = frozenset(f"{_DETERMINERS} {_MEDIA}".split())
"""Words that say nothing of what a picture shows."""


class NotUnderstood(ValueError):
    """No class stands for a phrase."""

    def __init__(self, words: str, nearest: Sequence[str]) -> None:
        """Store the words, and those that are understood and come nearest."""
        self.words, self.nearest = words, tuple(nearest)
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Understood:
    """A phrase and its meaning."""

    phrase: Phrase
    meaning: Meaning
    others: tuple[Meaning, ...]
    """Its other meanings."""
    ignored: str = ""
    """Its first words, which had no influence."""


def understand(text: str) -> list[Understood]:
    """Find the meaning of each phrase of a text query.

    Raises:
        ValueError: The text has no wanted phrase, or too many phrases.
        NotUnderstood: No class stands for a phrase.
    """
    parts = [part for phrase in parse_phrases(text) for part in split_phrase(phrase)]
    check_phrases(parts)
    return [understand_phrase(part) for part in parts]


def split_phrase(phrase: Phrase) -> list[Phrase]:
    """Split a phrase at words such as "and", unless it is known as a whole, as "bow and arrow" is.

    Raises:
        ValueError: The phrase contains "or".
    """
    if not phrase.is_joined:
        return [phrase]
    ignored, meanings = find_meanings(phrase.words, phrase.hint)
    return [phrase] if meanings and not ignored else list(joined_phrases(phrase))


def understand_phrase(phrase: Phrase) -> Understood:
    """Find the meaning of one phrase.

    Raises:
        NotUnderstood: No class stands for it.
    """
    ignored, meanings = find_meanings(phrase.words, phrase.hint)
    if not meanings:
        words = f"{phrase.words} ({phrase.hint})" if phrase.hint else phrase.words
        hinted = meanings_of(phrase.words) if phrase.hint else ()
        nearest = [f"{one.word} ({one.label})" for one in hinted] or nearest_words(phrase.words)
        raise NotUnderstood(words, nearest)
    words = " ".join(word for word in ignored.split() if word not in FILLERS)
    return Understood(phrase, meanings[0], meanings[1:], words)


def confidence_of(understood: Sequence[Understood]) -> float | None:
    """Return the share of right pictures to expect among the first ten, 0 to 1; None if it was not measured.

    It was measured for single words only, not for several phrases or ignored words.
    """
    first = understood[0]
    return None if len(understood) > 1 or first.ignored else CONFIDENCE.get(first.meaning.relation)


@dataclass(frozen=True, slots=True)
class WordWeights:
    """How much each bit speaks for a text query, in one or several parts of which a picture satisfies one."""

    rows: NDArray[np.float32]
    """Shape (parts, bits)."""
    biases: tuple[float, ...]
    """Advantage of each part: the softness times the logarithm of its number of classes."""
    softness: float
    """How near to the best part's score another's must be to add to it."""


def word_weights(understood: Sequence[Understood], class_weights: NDArray[np.float32]) -> WordWeights:
    """Return the weights of a text query: for one broad word by groups of its kinds, else a sum of phrases.

    Args:
        understood: At least one phrase.
        class_weights: Shape (classes, bits).
    """
    first = understood[0].meaning
    if len(understood) == 1 and first.relation is Relation.KINDS and len(first.classes) > 1:
        rows, sizes = grouped(class_weights[list(first.classes)], MAX_PARTS)
        softness = _softness(class_weights)
        return WordWeights(rows, tuple((softness * np.log(sizes)).tolist()), softness)
    return WordWeights(bit_weights(understood, class_weights)[np.newaxis], (0.0,), 1.0)


def grouped(rows: NDArray[np.float32], groups: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Group rows by k-means, the first means being rows chosen by a fixed seed.

    Returns:
        Means, shape (groups or fewer, bits), and numbers of rows.
    """
    points = rows.astype(np.float64)
    chosen = np.random.default_rng(0).choice(len(points), min(groups, len(points)), replace=False)
    means = points[chosen]
    for _ in range(KMEANS_ROUNDS):
        nearest = ((points[:, np.newaxis] - means) ** 2).sum(axis=2).argmin(axis=1)
        means = np.stack([points[nearest == j].mean(axis=0) for j in np.unique(nearest)])
    return means.astype(np.float32), np.unique(nearest, return_counts=True)[1]


def class_shares(signs: NDArray[np.int8], class_weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Estimate from codes how much pictures belong to each class: a softmax of the classes' scores.

    Args:
        signs: The codes' bits, -1 or 1, shape (..., bits).
        class_weights: Shape (classes, bits).

    Returns:
        Shape (..., classes), summing to 1 over the classes.
    """
    scores = signs @ class_weights.astype(np.float64).T / _softness(class_weights)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    normalised: NDArray[np.float64] = shares / shares.sum(axis=-1, keepdims=True)
    return normalised


def _softness(class_weights: NDArray[np.float32]) -> float:
    """Return how far the score of a class spreads over codes of independent bits."""
    return float(np.sqrt(np.mean(np.sum(class_weights.astype(np.float64) ** 2, axis=1))))


def bit_weights(understood: Sequence[Understood], class_weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much each bit speaks for a sum of phrases.

    Each phrase counts alike, however many classes stand for it.

    Args:
        understood: At least one phrase.
        class_weights: Shape (classes, bits).

    Returns:
        Shape (bits,), float32.
    """
    total = np.zeros(class_weights.shape[1])
    for one in understood:
        mean = class_weights[list(one.meaning.classes)].mean(axis=0, dtype=np.float64)
        sign = 1.0 if one.phrase.is_wanted else -UNWANTED_WEIGHT
        total += sign * mean / max(float(np.linalg.norm(mean)), 1e-12)
    weights: NDArray[np.float32] = total.astype(np.float32)
    return weights
