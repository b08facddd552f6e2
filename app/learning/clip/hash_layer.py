"""The hash layer of a pair of encoders, for pictures and texts: centring, principal directions, rotation."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.codes import pack_signs, unpack_signs
from app.learning.rotation import ITQ_ITERATIONS, itq_rotation, principal_directions

SEED: Final = 0
SOURCE: Final = "Gong, Lazebnik, Gordo, Perronnin: Iterative Quantization, TPAMI 2013"
LENGTHS: Final = (256, 128, 64, 32, 16)
"""Code lengths to choose from, the longest that the pictures allow."""
FIRST: Final = 10
_MIN_VARIANCE: Final = 1e-10
"""Of the weakest direction, relative to the strongest; weaker ones are rounding errors."""


@dataclass(frozen=True, slots=True)
class ClipHashLayer:
    """Turns features of unit length into y.

    Features of pictures and of texts are in two narrow cones that do not touch. What all texts have in common
    says nothing about a picture, but would favour the same pictures for every text. So both sorts are centred
    by their own mean. The directions are those of the pictures for both.
    """

    mean: NDArray[np.float32]
    """Mean features of pictures, shape (d,)."""
    text_mean: NDArray[np.float32]
    """Mean features of texts, shape (d,)."""
    projection: NDArray[np.float32]
    """Shape (d, bits)."""

    @classmethod
    def fit(cls, features: NDArray[np.float32], text_mean: NDArray[np.float32], bits: int) -> "ClipHashLayer":
        """Fit to the features of pictures, shape (n, d), by PCA and iterative quantisation.

        Raises:
            ValueError: The pictures differ in fewer directions than there are bits.
        """
        wide = features.astype(np.float64)
        mean = wide.mean(axis=0)
        variances, directions = principal_directions(wide - mean, bits)
        used = int((variances > _MIN_VARIANCE * max(float(variances[0]), 1e-300)).sum())
        if variances[0] <= _MIN_VARIANCE or used < bits:
            raise ValueError(
                f"the features of these {len(features):,} pictures differ in {used} directions, too few "
                f"for {bits} bits: use more pictures, or fewer --bits"
            )
        rotation = itq_rotation((wide - mean) @ directions, SEED, ITQ_ITERATIONS)
        projection = (directions @ rotation).astype(np.float32)
        return cls(mean.astype(np.float32), text_mean.astype(np.float32), projection)

    def of_pictures(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return y of pictures, (n, d) to (n, bits)."""
        y: NDArray[np.float32] = ((features - self.mean) @ self.projection).astype(np.float32, copy=False)
        return y

    def of_texts(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return weights of the bits of texts, (n, d) to (n, bits)."""
        y: NDArray[np.float32] = ((features - self.text_mean) @ self.projection).astype(np.float32, copy=False)
        return y


def default_bits(pictures: int, dim: int) -> int:
    """Return the longest code length that fits the numbers of pictures and features.

    Raises:
        ValueError: There are too few of either.
    """
    found = next((bits for bits in LENGTHS if bits < pictures and bits <= dim), None)
    if found is None:
        raise ValueError(
            f"a model needs more than {LENGTHS[-1]} pictures and features; there are {pictures} and {dim}"
        )
    return found


def shared_of_first(
    layer: ClipHashLayer, features: NDArray[np.float32], text_features: NDArray[np.float32]
) -> float:
    """Return the mean share of the first ten pictures by float features that are among the first ten by codes.

    Args:
        layer: The hash layer.
        features: Of pictures, shape (n, d), n at least ten.
        text_features: Of the texts to search with, shape (t, d).
    """
    by_features = (text_features - layer.text_mean) @ (features - layer.mean).T
    bits = layer.projection.shape[1]
    signs = unpack_signs(pack_signs(layer.of_pictures(features)), bits).astype(np.float32)
    by_codes = layer.of_texts(text_features) @ signs.T
    first = [np.argsort(-scores, axis=1, kind="stable")[:, :FIRST] for scores in (by_features, by_codes)]
    shared = [len(set(a) & set(b)) for a, b in zip(*(rows.tolist() for rows in first), strict=True)]
    return float(np.mean(shared)) / FIRST
