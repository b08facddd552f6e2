"""Metrics against scikit-learn where nothing ties, and against every order of equals where something does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve

from app.domain.codes import hamming, pack_signs
from app.learning.evaluation import ties
from app.learning.evaluation.bits import bit_use
from app.learning.evaluation.metrics import figures, rank_codes, rank_features
from app.learning.evaluation.ties import TiedRanking
from tests.oracles import hashing, metrics

tied_groups = st.lists(st.lists(st.booleans(), max_size=4), min_size=1, max_size=3)


def as_ranking(groups):
    return TiedRanking(np.array([[len(g) for g in groups]]), np.array([[sum(g) for g in groups]]))


@settings(max_examples=60, deadline=None)
@given(groups=tied_groups, depth=st.none() | st.integers(1, 14))
def test_average_precision_is_the_mean_best_and_worst_over_every_order_of_equals(groups, depth):
    ranking = as_ranking(groups)

    expected, best, worst = metrics.over_orders(groups, lambda order: metrics.average_precision(order, depth))

    assert ties.expected_ap(ranking, depth)[0] == pytest.approx(float(expected))
    assert ties.best_ap(ranking, depth)[0] == pytest.approx(float(best))
    assert ties.worst_ap(ranking, depth)[0] == pytest.approx(float(worst))


@settings(max_examples=60, deadline=None)
@given(groups=tied_groups, k=st.integers(1, 14))
def test_precision_and_recall_are_means_over_every_order_of_equals(groups, k):
    ranking = as_ranking(groups)

    assert ties.precision_at(ranking, k)[0] == pytest.approx(
        float(metrics.over_orders(groups, lambda order: metrics.precision(order, k))[0])
    )
    assert ties.recall_at(ranking, k)[0] == pytest.approx(
        float(metrics.over_orders(groups, lambda order: metrics.recall(order, k))[0])
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_without_ties_average_precision_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    queries, gallery = rng.standard_normal((3, 5)), rng.standard_normal((60, 5))
    labels = rng.integers(0, 3, 60)
    asked = labels[:3]  # each query has something relevant

    rankings = list(rank_features(queries.astype(np.float32), asked, gallery.astype(np.float32), labels))

    scores = queries.astype(np.float32) @ gallery.astype(np.float32).T
    theirs = [average_precision_score(labels == a, s) for a, s in zip(asked, scores, strict=True)]
    np.testing.assert_allclose(np.concatenate([ties.expected_ap(r) for r in rankings]), theirs, rtol=1e-9)


def test_euclidean_ranking_puts_the_nearest_first():
    gallery = np.array([[10.0, 0], [1, 1], [0.9, 0]], np.float32)

    (ranking,) = rank_features(
        np.array([[1.0, 0]], np.float32), np.array([7]), gallery, np.array([0, 0, 7]), squared_distance=True
    )

    assert ranking.relevant.tolist() == [[1, 0, 0]]


def test_codes_are_grouped_by_hamming_distance():
    rng = np.random.default_rng(3)
    codes = pack_signs(rng.standard_normal((40, 24)).astype(np.float32))
    labels = rng.integers(0, 4, 40)

    (ranking,) = rank_codes(codes[:5], labels[:5], codes, labels, 24)

    for i in range(5):
        distances = hamming(codes, codes[i])
        assert ranking.counts[i].tolist() == [int((distances == d).sum()) for d in range(25)]
        alike = labels == labels[i]
        assert ranking.relevant[i].tolist() == [int(((distances == d) & alike).sum()) for d in range(25)]


def test_figures_are_means_over_all_queries_however_they_are_chunked():
    rng = np.random.default_rng(5)
    codes = pack_signs(rng.standard_normal((120, 16)).astype(np.float32))
    labels = rng.integers(0, 3, 120)

    found = figures(rank_codes(codes, labels, codes, labels, 16))

    one_by_one = [
        figures(rank_codes(codes[i : i + 1], labels[i : i + 1], codes, labels, 16)).map_all for i in range(120)
    ]
    assert found.map_all == pytest.approx(np.mean(one_by_one))
    assert found.map_worst < found.map_all < found.map_best


def test_precision_within_a_radius_counts_an_empty_radius_as_nothing_found():
    ranking = TiedRanking(np.array([[0, 4, 6], [2, 1, 7]]), np.array([[0, 1, 0], [1, 1, 3]]))

    np.testing.assert_allclose(ties.radius_precision(ranking, 1), [0, 0.5])
    np.testing.assert_allclose(ties.radius_precision(ranking, 2), [0.25, 2 / 3])


def test_the_precision_recall_curve_ends_with_everything_found():
    ranking = TiedRanking(np.array([[1, 3], [0, 4]]), np.array([[1, 1], [0, 2]]))

    recall, precision = ties.precision_recall_curve(ranking)

    np.testing.assert_allclose(recall, [0.25, 1])
    np.testing.assert_allclose(precision, [1, 0.5])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 12))
def test_bit_use_is_what_its_definitions_say(seed, n):
    signs = np.where(np.random.default_rng(seed).random((n, 8)) < 0.4, 1.0, -1.0).astype(np.float32)

    use = bit_use(pack_signs(signs), 8)

    assert use.balance == pytest.approx(hashing.bit_balance(signs.tolist()))
    assert use.correlation == pytest.approx(hashing.bit_correlation(signs.tolist()))
    assert use.collisions == pytest.approx(hashing.collision_rate(signs.tolist()))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_precision_recall_curve_of_codes_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    codes = pack_signs(rng.standard_normal((60, 16)).astype(np.float32))
    labels = rng.integers(0, 3, 60)

    (ranking,) = rank_codes(codes[:1], labels[:1], codes, labels, 16)
    recall, precision = ties.precision_recall_curve(ranking)

    distances = hamming(codes, codes[0])
    theirs, their_recall, thresholds = precision_recall_curve(labels == labels[0], -distances)
    for p, r, threshold in zip(theirs, their_recall, thresholds, strict=False):
        assert precision[-threshold] == pytest.approx(p)
        assert recall[-threshold] == pytest.approx(r)
