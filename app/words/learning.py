"""Learn words from tagged pictures: a ridge regression from the bits of codes to each word, cross-validated."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import unpack_signs
from app.domain.learned_words import LearnedWord
from app.words.meanings import Relation, meanings_of

FOLDS: Final = 10
RIDGE: Final = 100.0
"""Penalty of the squared weights; the fewer the pictures, the more the weights stay at the prior."""
MIN_LIFT: Final = 0.1
"""Least share of the way from the average precision of chance to 1 of an offered word."""
FIRST: Final = 10
BLOCK: Final = 16_384
"""Rows whose bits are unpacked at a time."""
SCORES: Final = 16_000_000
"""Most scores computed at a time, 64 MB."""

Matrix = NDArray[np.float64]


def priors_of(words: Iterable[str], class_weights: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return the mean weights of the classes that a word names, for the words that name some.

    Relatives of a thing are no prior: the tags say more.

    Args:
        words: Words as ``plain`` returns them.
        class_weights: Shape (classes, bits).
    """
    meanings = {word: next(iter(meanings_of(word)), None) for word in words}
    return {
        word: class_weights[list(meaning.classes)].mean(axis=0)
        for word, meaning in meanings.items()
        if meaning is not None and meaning.relation is Relation.KINDS
    }


@dataclass(frozen=True, slots=True)
class _Fit:
    """What the regressions of all words share: moments of the bits without one fold, or of all."""

    n: int
    mean: Matrix
    centred: Matrix
    """Sum of the products of centred bits, shape (bits, bits)."""
    inverse: Matrix

    @classmethod
    def of(cls, n: int, total: Matrix, products: Matrix) -> "_Fit":
        mean = total / max(n, 1)
        centred = products - n * np.outer(mean, mean)
        inverse = np.asarray(np.linalg.inv(centred + RIDGE * np.eye(len(mean))), np.float64)
        return cls(n, mean, centred, inverse)

    def weights(self, sums: Matrix, counts: Matrix, priors: Matrix) -> Matrix:
        """Return weights, shape (bits, words).

        The prior is scaled to explain what it can; the ridge regression explains the rest.

        Args:
            sums: Sums of the bits of the pictures with each word, shape (bits, words).
            counts: Numbers of these pictures, shape (words,).
            priors: Shape (bits, words); 0 without a prior.
        """
        target = sums - np.outer(self.mean, counts)
        explained = self.centred @ priors
        power = np.einsum("bw,bw->w", priors, explained)
        scale = np.einsum("bw,bw->w", priors, target) / np.maximum(power, 1e-9)
        # A name that contradicts the tags is not used.
        scale = np.where(power > 1e-9, np.maximum(scale, 0), 0)
        weights: Matrix = scale * priors + self.inverse @ (target - scale * explained)
        return weights


class WordLearner:
    """Learns words from codes and the pictures that carry each word."""

    def __init__(self, codes: NDArray[np.uint64], bits: int) -> None:
        """Divide the pictures into folds; equal codes, such as those of copies, are in one fold.

        Args:
            codes: Shape (n, ceil(bits / 64)), n at least 1.
            bits: Code length.
        """
        _, which = np.unique(codes, axis=0, return_inverse=True)
        which = which.reshape(-1)
        folds = (np.random.default_rng(0).permutation(which.max() + 1) % FOLDS)[which]
        # Rows are sorted by fold, so that each fold is a slice.
        order = np.argsort(folds, kind="stable")
        self._place = np.empty_like(order)
        self._place[order] = np.arange(len(order))
        self._codes, self._bits = np.ascontiguousarray(codes[order]), bits
        self._ends = np.searchsorted(folds[order], np.arange(FOLDS), side="right")
        totals, products = np.zeros((FOLDS, bits)), np.zeros((FOLDS, bits, bits))
        for fold in range(FOLDS):
            for rows in self._rows_of(fold):
                signs = self._signs(rows)
                totals[fold] += signs.sum(axis=0)
                products[fold] += signs.T @ signs
        sizes = np.diff(self._ends, prepend=0)
        total, product = totals.sum(axis=0), products.sum(axis=0)
        self._fits = [
            _Fit.of(len(codes) - int(sizes[k]), total - totals[k], product - products[k]) for k in range(FOLDS)
        ]
        self._whole = _Fit.of(len(codes), total, product)

    @property
    def words_at_a_time(self) -> int:
        """Number of words for one call of ``learn``."""
        return max(1, min(256, SCORES // len(self._codes)))

    def learn(
        self,
        tagged: Mapping[str, Sequence[int]],
        priors: Mapping[str, NDArray[np.float32]],
        min_precision: float,
    ) -> list[LearnedWord]:
        """Learn words and measure each by cross-validation.

        Args:
            tagged: For each word the rows of the pictures that carry it, at least one.
            priors: Weights of the bits from the names of classes, for the words that have such.
            min_precision: Least ``precision_at_10`` of a word that is offered.
        """
        names = list(tagged)
        places = [np.sort(self._place[np.asarray(tagged[name], np.int64)]) for name in names]
        sums = np.zeros((FOLDS, self._bits, len(names)))
        counts = np.zeros((FOLDS, len(names)))
        for w, rows in enumerate(places):
            for k, part in enumerate(np.split(rows, np.searchsorted(rows, self._ends[:-1]))):
                counts[k, w] = len(part)
                for i in range(0, len(part), BLOCK):
                    sums[k, :, w] += self._signs(part[i : i + BLOCK]).sum(axis=0)
        prior = np.zeros((self._bits, len(names)))
        for w, name in enumerate(names):
            if name in priors:
                prior[:, w] = priors[name] / max(float(np.linalg.norm(priors[name])), 1e-12)
        held_out = self._held_out_scores(sums, counts, prior)
        total, every = counts.sum(axis=0), self._whole
        weights = every.weights(sums.sum(axis=0), total, prior)
        found = []
        for w, name in enumerate(names):
            measured = _measure(held_out[:, w], places[w])
            length, chance = float(np.linalg.norm(weights[:, w])), len(places[w]) / every.n
            found.append(
                LearnedWord(
                    word=name,
                    pictures=len(places[w]),
                    precision_at_10=measured.precision_at_10,
                    average_precision=measured.average_precision,
                    uses_names=name in priors,
                    is_offered=length > 0
                    and measured.precision_at_10 >= min_precision
                    and measured.average_precision >= chance + MIN_LIFT * (1 - chance)
                    and chance < 1,
                    offset=chance - float(every.mean @ weights[:, w]),
                    threshold=chance + length * measured.threshold,
                    weights=weights[:, w].astype(np.float32),
                )
            )
        return found

    def _held_out_scores(self, sums: Matrix, counts: Matrix, prior: Matrix) -> NDArray[np.float32]:
        """Return how each picture scores by weights that were learned without its fold, shape (n, words).

        The weights have unit length: a fold with fewer pictures of a word would otherwise score lower.
        """
        scores = np.empty((len(self._codes), counts.shape[1]), np.float32)
        for k, fit in enumerate(self._fits):
            weights = fit.weights(sums.sum(axis=0) - sums[k], counts.sum(axis=0) - counts[k], prior)
            weights /= np.maximum(np.linalg.norm(weights, axis=0), 1e-12)
            offset = fit.mean @ weights
            for rows in self._rows_of(k):
                scores[rows] = self._signs(rows) @ weights.astype(np.float32) - offset
        return scores

    def _rows_of(self, fold: int) -> Iterator[slice]:
        """Yield slices of at most ``BLOCK`` rows."""
        start, end = 0 if fold == 0 else int(self._ends[fold - 1]), int(self._ends[fold])
        yield from (slice(i, min(i + BLOCK, end)) for i in range(start, end, BLOCK))

    def _signs(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        return unpack_signs(self._codes[rows], self._bits).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Measured:
    precision_at_10: float
    average_precision: float
    threshold: float
    """Score from which on the word is given to pictures, for the best F1."""


def _measure(scores: NDArray[np.float32], right: NDArray[np.int64]) -> _Measured:
    """Rank pictures by score.

    Args:
        scores: Shape (n,).
        right: Rows of the pictures with the word, at least one.
    """
    is_right = np.zeros(len(scores), np.bool_)
    is_right[right] = True
    # Among equal scores the wrong pictures come first, so that ties never flatter.
    order = np.lexsort((is_right, -scores))
    hits = np.cumsum(is_right[order])
    ranks = np.arange(1, len(scores) + 1)
    first = min(FIRST, len(right), len(scores))
    best = int(np.argmax(2 * hits / (ranks + len(right))))
    return _Measured(
        precision_at_10=float(hits[first - 1] / first),
        average_precision=float((hits / ranks)[is_right[order]].mean()),
        threshold=float(scores[order[best]]),
    )
