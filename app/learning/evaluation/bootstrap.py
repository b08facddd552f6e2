"""Confidence intervals of mean figures by bootstrap over queries."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS: Final = 2000
LEVEL: Final = 0.95
DRAWS_AT_ONCE: Final = 200


def bootstrap_interval(
    per_query: ArrayLike, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Compute the percentile interval of a mean, drawing as many queries with replacement as there are.

    Args:
        per_query: A figure of each query, shape (q,), q ≥ 1.
        level: Share of the bootstrap means inside the interval.
        draws: Number of bootstrap samples.
        seed: Seed of the draws, so that the same figures have the same interval.

    Returns:
        Lower and upper end.

    Source: Efron: Bootstrap Methods, Annals of Statistics 1979; the percentile interval.
    """
    values: NDArray[np.float64] = np.asarray(per_query, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [
            values[rng.integers(0, len(values), (min(DRAWS_AT_ONCE, draws - start), len(values)))].mean(axis=1)
            for start in range(0, draws, DRAWS_AT_ONCE)
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
