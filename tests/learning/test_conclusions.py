"""Sentences of the report follow from the figures."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from app.learning.evaluation.retrieval import Labels, evaluate_codes  # noqa: E402 - torch may be missing
from app.learning.research import conclusions, readings  # noqa: E402
from app.learning.research.conclusions import Named  # noqa: E402
from app.learning.research.table import NOT_RUN, Measurement  # noqa: E402

pytestmark = pytest.mark.torch


def result(average_precisions, distinct=500, precision_at_10=0.5):
    values = np.asarray(average_precisions)
    return {
        "map_all": float(values.mean()),
        "average_precisions": values.tolist(),
        "precisions_at_10": [precision_at_10] * len(values),
        "precision_at_100": 0.4,
        "bits": {"distinct": distinct},
    }


def around(mean, seed=0, spread=0.1, n=400):
    values = np.random.default_rng(seed).normal(0, spread, n)
    return values - values.mean() + mean


def named(mean, **others):
    return Named("the method", Measurement.of(result(around(mean), **others)))


@pytest.mark.parametrize(
    ("mean", "said"), [(0.5, "above"), (0.3, "below"), (0.401, "not distinguishable from")]
)
def test_a_figure_stands_above_or_below_a_claim_only_if_its_interval_excludes_it(mean, said):
    assert f", {said} the claim of 0.400." in conclusions.against_claim(named(mean), 0.4, is_pretrained=False)
    assert conclusions.ENCODER in conclusions.against_claim(named(mean), 0.4)


def test_claims_and_first_tens_are_compared_for_each_code_length():
    found = {bits: Measurement.of(result(around(mean), precision_at_10=first)) for bits, mean, first in (
        (16, 0.3, 0.4), (32, 0.5, 0.5), (64, 0.5, 0.6)
    )}  # fmt: skip

    claims = conclusions.against_claims("m", found, {16: 0.4, 32: 0.4})
    first_tens = conclusions.first_ten_by_length("m", found, named(0.5))

    assert claims == (
        "The mAP of m is below the claim with 16 bits (0.300, 0.290 to 0.309, claimed 0.400); above the claim "
        f"with 32 bits (0.500, 0.490 to 0.509, claimed 0.400); {conclusions.ENCODER}."
    )
    assert first_tens == (
        "The P@10 of m is below that of the method with 16 bits (-0.100, -0.100 to -0.100); not "
        "distinguishable from that of the method with 32 bits (+0.000, +0.000 to +0.000); above that of the "
        "method with 64 bits (+0.100, +0.100 to +0.100)."
    )


def test_an_interval_covers_the_runs_as_well_as_the_queries():
    noise = around(0.0, spread=0.01)
    runs = Measurement.of(*(result(noise + mean) for mean in (0.4, 0.5, 0.6)))
    one = Measurement.of(result(noise + 0.5))

    (low, high), (low_of_one, high_of_one) = runs.interval, one.interval
    assert high_of_one - low_of_one < 0.01
    assert low < 0.45
    assert high > 0.55
    assert "not distinguishable from" in conclusions.against_claim(Named("m", runs), 0.53)
    assert "not distinguishable from" in conclusions.compare_map(Named("m", runs), Named("n", one))


def test_methods_are_compared_on_the_same_queries():
    hard = np.linspace(0, 1, 400)  # queries differ far more than methods do
    better = Named("b", Measurement.of(result(hard * 0.9 + around(0.05, 1, 0.01))))
    worse = Named("a", Measurement.of(result(hard * 0.9 + around(0.04, 2, 0.01))))

    low, high = better.measured.interval
    assert low < worse.measured.map_all < high
    assert "The mAP of b is above that of a: 0.500 against 0.490" in conclusions.compare_map(better, worse)
    assert "The mAP of a is below that of b" in conclusions.compare_map(worse, better)
    assert "The mAP of a is not distinguishable from that of a" in conclusions.compare_map(worse, worse)


def test_first_tens_are_compared_by_their_precision():
    said = conclusions.compare_first_ten(named(0.4, precision_at_10=0.8), named(0.6, precision_at_10=0.9))

    assert "The P@10 of the method is below that of the method: 0.800 against 0.900" in said


@pytest.mark.parametrize(
    ("distinct", "mean", "said"),
    [
        (1, 0.1, "collapses to one code for 10,000 pictures"),
        (99, 0.3, "collapses to 99 distinct codes"),
        (4000, 0.3, "has 4,000 distinct codes"),
    ],
)
def test_codes_collapse_if_there_are_few(distinct, mean, said):
    sentence = conclusions.use_of_codes(named(mean, distinct=distinct), 10_000, 0.1)

    assert said in sentence
    assert ("finds no more than" in sentence) is (mean == 0.1)


def test_rounding_of_stored_figures_is_no_gain_over_chance():
    one_code = Named("the method", Measurement.of(result(np.full(400, 0.1002), distinct=1)))

    assert "finds no more than" in conclusions.use_of_codes(one_code, 50_000, 0.10018)


def test_methods_are_sorted_around_a_reference():
    others = [Named("x", Measurement.of(result(around(0.6)))), Named("y", Measurement.of(result(around(0.4))))]
    said = conclusions.ordered_around(named(0.5), [*others, Named("z", Measurement.of({}))])

    assert said == "Against the method (mAP 0.500), above it: x (0.600); below it: y (0.400)."


def test_chance_is_the_figure_of_one_code_for_all_pictures():
    rng = np.random.default_rng(3)
    labels = Labels(rng.integers(0, 4, 15), rng.integers(0, 3, 60))  # the fourth kind is not in the gallery

    found = evaluate_codes(np.ones((15, 16), np.float32), np.ones((60, 16), np.float32), labels)

    assert readings._chance(labels) == pytest.approx(found.figures.map_all)


def test_nothing_is_concluded_from_what_was_not_run():
    missing = Named("m", Measurement.of({}))

    assert missing.measured.values == (NOT_RUN,) * 6
    assert conclusions.against_claim(missing, 0.4) is None
    assert conclusions.compare_map(missing, named(0.4)) is None
    assert conclusions.against_claims("m", {32: missing.measured}, {32: 0.4}) is None
    assert conclusions.first_ten_by_length("m", {32: missing.measured}, named(0.4)) is None
    assert conclusions.use_of_codes(missing, 10, 0.1) is None
    assert conclusions.largest([missing], "at all") is None
    assert conclusions.ordered_around(missing, [named(0.4)]) is None


def test_finished_runs_are_combined():
    a, b = around(0.4, 1), around(0.6, 2)
    both = Measurement.of(result(a, 100), {}, result(b, 300))

    np.testing.assert_allclose(both.runs_ap, [a, b])
    assert both.distinct == 200
    assert both.values[-1] == "2, sd 0.141"
    assert both.map_of_runs == (pytest.approx(0.4), pytest.approx(0.6))
