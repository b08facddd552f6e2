"""Gallery averaging and query expansion against their formulas, written as loops."""

import numpy as np

from app.domain.expansion import expand


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_rows_become_weighted_means_of_their_nearest_gallery_rows():
    rng = np.random.default_rng(0)
    queries, gallery = (unit(rng.standard_normal((n, 6))).astype(np.float32) for n in (4, 30))

    found_queries, found_gallery = expand(queries, gallery, neighbours=3, power=2.0)

    averaged = []
    for i, row in enumerate(gallery):
        cosines = gallery @ row
        near = [j for j in np.argsort(-cosines) if j != i][:3]
        averaged.append(unit(row + sum(max(cosines[j], 0) ** 2 * gallery[j] for j in near)))
    averaged = np.array(averaged)
    np.testing.assert_allclose(found_gallery, averaged, atol=1e-5)
    for query, found in zip(queries, found_queries, strict=True):
        cosines = averaged @ query
        near = np.argsort(-cosines)[:3]
        expected = unit(query + sum(max(cosines[j], 0) ** 2 * averaged[j] for j in near))
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_expansion_finds_more_of_noisy_clusters_than_the_features_do():
    rng = np.random.default_rng(1)
    centres, labels = rng.standard_normal((5, 20)), rng.integers(0, 5, 300)
    rows = unit(centres[labels] + 1.5 * rng.standard_normal((300, 20))).astype(np.float32)

    queries, gallery = expand(rows[:50], rows[50:])

    def precision(q, g):
        first = np.argsort(-(q @ g.T), axis=1)[:, :20]
        return (labels[50:][first] == labels[:50, None]).mean()

    assert precision(queries, gallery) > precision(rows[:50], rows[50:]) + 0.05
