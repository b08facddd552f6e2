"""Curves agree with slow, obvious code."""

import numpy as np

from app.domain.codes import hamming, pack_signs
from app.learning.evaluation.curves import RankingCurves, bit_curves
from app.learning.evaluation.metrics import rank_codes

BITS = 16


def coded(count: int, seed: int):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    y = rng.normal(size=(count, BITS)) + 0.8 * np.sin(np.arange(BITS) * (labels[:, None] + 1))
    return pack_signs(y.astype(np.float32)), labels


def test_precision_and_recall_pool_the_queries_within_each_distance():
    gallery, labels = coded(60, 1)
    queries, query_labels = coded(9, 2)
    curves = RankingCurves(BITS)
    seen = list(curves.watch(rank_codes(queries, query_labels, gallery, labels, BITS)))

    found = curves.as_dict()

    assert sum(len(ranking.counts) for ranking in seen) == 9
    distances = np.stack([hamming(gallery, query) for query in queries])
    alike = labels[None, :] == query_labels[:, None]
    for at, recall, precision in found["precision_recall"]:
        within = distances <= at
        assert recall == round((within & alike).sum() / alike.sum(), 4)
        assert precision == round((within & alike).sum() / within.sum(), 4)
    assert found["precision_recall"][-1][1] == 1
    assert [depth for depth, _ in found["precision_at"]] == [1, 2, 5, 10, 20, 50]


def test_bits_and_codes_are_counted():
    signs = np.array([[1, 1], [1, -1], [1, -1], [1, -1]], np.float32)
    codes = pack_signs(np.concatenate([signs, np.ones((4, 6), np.float32)], axis=1))

    found = bit_curves(codes, 8)

    assert found["set_share"] == [1.0, 0.25, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert found["pictures_per_code"] == [[1, 1], [3, 1]]
