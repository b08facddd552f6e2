"""Bootstrap intervals against the normal theory of means."""

import numpy as np
import pytest

from app.learning.evaluation.bootstrap import bootstrap_interval


def test_an_interval_is_about_two_standard_errors_on_both_sides_of_the_mean():
    values = np.random.default_rng(0).uniform(size=1000)
    error = values.std() / np.sqrt(len(values))

    low, high = bootstrap_interval(values)

    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_intervals_contain_the_true_mean_about_as_often_as_they_promise():
    rng = np.random.default_rng(1)
    covered = 0
    for i in range(200):
        low, high = bootstrap_interval(rng.beta(2, 3, size=150), level=0.8, draws=300, seed=i)
        covered += low <= 0.4 <= high

    assert 0.7 <= covered / 200 <= 0.9


def test_equal_figures_have_an_interval_without_width_and_a_seed_repeats_its_draws():
    assert bootstrap_interval([0.25] * 7) == (0.25, 0.25)
    values = np.arange(20) / 20
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)
