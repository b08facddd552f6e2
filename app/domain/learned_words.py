"""Words learned from the metadata of a collection's pictures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LearnedWord:
    """A word, the weight of each bit of a code for it, and how well these weights rank held-out pictures."""

    word: str
    """As ``app.words.phrases.plain`` returns it."""
    pictures: int
    """Number of pictures with the word, from which it was learned."""
    precision_at_10: float
    """Share of right pictures among the first ten, or among as many as carry the word; cross-validated."""
    average_precision: float
    """Cross-validated."""
    uses_names: bool
    """Whether the class weights of the word's name served as the prior."""
    is_offered: bool
    """Whether searches and suggestions use it."""
    offset: float
    """Added to the sum of weights times bits (-1 or 1) to give the estimated share of pictures with it."""
    threshold: float
    """Smallest estimate at which the word is suggested; maximizes F1 in cross-validation."""
    weights: NDArray[np.float32]
    """Shape (bits,)."""
