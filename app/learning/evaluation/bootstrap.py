"""Confidence intervals of mean figures by bootstrap over queries, and over runs where there are several."""

from functools import lru_cache
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


def interval_of_runs(
    runs: NDArray[np.float64], others: NDArray[np.float64] | None = None, *, seed: int = 0
) -> tuple[float, float]:
    """Compute the 95 % interval of a mean over runs and queries, drawing both with replacement.

    With one run, only queries are drawn: the interval says nothing about other seeds.

    Args:
        runs: A figure of each run and query, shape (r, q), r, q ≥ 1.
        others: The same of what is subtracted, on the same queries, shape (s, q); runs are drawn separately.
        seed: Seed of the draws.

    Returns:
        Lower and upper end.
    """
    weights = _query_weights(runs.shape[1], seed)
    means = _drawn_means(runs, weights, np.random.default_rng([seed, 1]))
    if others is not None:
        means = means - _drawn_means(others, weights, np.random.default_rng([seed, 2]))
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _drawn_means(
    runs: NDArray[np.float64], weights: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Means of drawn queries and runs, shape (draws,)."""
    of_runs = weights @ runs.T  # (draws, r)
    picked = rng.integers(0, len(runs), of_runs.shape) if len(runs) > 1 else np.zeros(of_runs.shape, np.int64)
    means: NDArray[np.float64] = np.take_along_axis(of_runs, picked, axis=1).mean(axis=1)
    return means


@lru_cache(maxsize=4)
def _query_weights(queries: int, seed: int) -> NDArray[np.float64]:
    """Share of each query in each draw, shape (draws, queries)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(queries, np.full(queries, 1 / queries), DRAWS) / queries
